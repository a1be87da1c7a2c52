//! Values of options: texts that become JSON.

use serde_json::{Value, json};
use std::net::IpAddr;

/// A value, or what is wrong with its text.
pub type Parsed = Result<Value, String>;

pub fn text(text: &str) -> Parsed {
    Ok(text.into())
}

/// Returns a list with the text in it.
pub fn alone(text: &str) -> Parsed {
    Ok(json!([text]))
}

pub fn number(text: &str) -> Parsed {
    let number = text.parse::<i64>();
    number.map_or_else(
        |_| Err("write a whole number".to_owned()),
        |number| Ok(number.into()),
    )
}

pub fn ratio(text: &str) -> Parsed {
    let number = text.parse::<f64>();
    number.map_or_else(
        |_| Err("write a number such as 0.1".to_owned()),
        |number| Ok(number.into()),
    )
}

/// Returns a truth, in the spellings that Go knows.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// Returns a size in bytes: `512m` is 512 MiB.
pub fn bytes(text: &str) -> Parsed {
    size(text).map(Value::from)
}

/// A size, or -1 for no limit.
pub fn swap(text: &str) -> Parsed {
    if text == "-1" {
        Ok(Value::from(-1))
    } else {
        bytes(text)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the client truncates fractions of a byte too"
)]
pub fn size(text: &str) -> Result<i64, String> {
    let wrong = || "write a size such as 512m or 1.5g".to_owned();
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower[digits.len()..].trim_end_matches('b');
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.trim_end().parse().map_err(|_| wrong())?;
    if number < 0.0 {
        return Err(wrong());
    }
    Ok((number * 1024_f64.powi(power)) as i64)
}

/// Returns a number of processors in billionths.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of processors is small"
)]
pub fn processors(text: &str) -> Parsed {
    let number: f64 = text
        .parse()
        .map_err(|_| "write a number of processors such as 1.5")?;
    Ok(Value::from((number * 1e9).round() as i64))
}

const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Returns a time in nanoseconds: `1m30s`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a time of years in nanoseconds fits"
)]
pub fn duration(text: &str) -> Parsed {
    let wrong = || "write a time with its unit, such as 30s or 1m30s".to_owned();
    let (mut rest, mut sum) = (text, 0.0);
    if text == "0" {
        return Ok(0.into());
    }
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = rest[..rest.len() - digits.len()]
            .parse()
            .map_err(|_| wrong())?;
        let end = digits
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(digits.len());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &digits[..end]);
        sum += number * unit.ok_or_else(wrong)?.1;
        rest = &digits[end..];
    }
    Ok(Value::from(sum as i64))
}

pub fn address(text: &str) -> Parsed {
    match text.parse::<IpAddr>() {
        Ok(_) => Ok(text.into()),
        Err(_) => Err("write an IP address".to_owned()),
    }
}

/// Returns `KEY` or `KEY=VALUE`; a value of this machine's environment is not read.
pub fn variable(text: &str) -> Parsed {
    match text.split('=').next() {
        None | Some("") => Err("write NAME=VALUE".to_owned()),
        Some(_) => Ok(text.into()),
    }
}

/// Returns a key and its value, which may be missing.
pub fn pair(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err("write KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.into()))
}

/// Returns a key and its value, of which none may be missing.
pub fn setting(text: &str) -> Result<(String, Value), String> {
    if text.contains('=') {
        pair(text)
    } else {
        Err("write KEY=VALUE".to_owned())
    }
}

/// Returns a path and the options behind a colon.
pub fn mount_point(text: &str) -> Result<(String, Value), String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    Ok((path.to_owned(), options.into()))
}

pub fn host(text: &str) -> Parsed {
    match text.split_once([':', '=']) {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            Ok(format!("{name}:{address}").into())
        }
        _ => Err("write NAME:ADDRESS".to_owned()),
    }
}

/// A mode of a namespace: of the host, or of its own.
pub fn host_mode(text: &str) -> Parsed {
    match text {
        "" | "host" => Ok(text.into()),
        _ => Err("the only value is `host`".to_owned()),
    }
}

pub fn process_mode(text: &str) -> Parsed {
    match text.strip_prefix("container:") {
        Some(name) if !name.is_empty() => Ok(text.into()),
        _ if matches!(text, "" | "host") => Ok(text.into()),
        _ => Err("write `host` or `container:NAME`".to_owned()),
    }
}

pub fn swappiness(text: &str) -> Parsed {
    match text.parse::<i64>() {
        Ok(value @ -1..=100) => Ok(value.into()),
        _ => Err("write a number from 0 to 100".to_owned()),
    }
}

pub fn restart(text: &str) -> Parsed {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let count: i64 = count
        .parse()
        .map_err(|_| "write a policy such as on-failure:3")?;
    Ok(json!({ "Name": name, "MaximumRetryCount": count }))
}

pub fn shell_check(text: &str) -> Parsed {
    Ok(json!(["CMD-SHELL", text]))
}

const LIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub fn ulimit(text: &str) -> Parsed {
    let wrong = || "write NAME=SOFT or NAME=SOFT:HARD".to_owned();
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    if !LIMITS.contains(&name) {
        return Err(format!("the limits are {}", LIMITS.join(", ")));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && soft > hard {
        return Err("the soft limit must not exceed the hard one".to_owned());
    }
    Ok(json!({ "Name": name, "Hard": hard, "Soft": soft }))
}

fn of_device(text: &str) -> Result<(&str, &str), String> {
    text.split_once(':')
        .filter(|(path, _)| path.starts_with("/dev/"))
        .ok_or_else(|| "write /dev/NAME:VALUE".to_owned())
}

pub fn weight_device(text: &str) -> Parsed {
    let (path, weight) = of_device(text)?;
    Ok(json!({ "Path": path, "Weight": number(weight)? }))
}

pub fn rate_device(text: &str) -> Parsed {
    let (path, rate) = of_device(text)?;
    Ok(json!({ "Path": path, "Rate": bytes(rate)? }))
}

pub fn count_device(text: &str) -> Parsed {
    let (path, rate) = of_device(text)?;
    Ok(json!({ "Path": path, "Rate": number(rate)? }))
}

pub fn device_rule(text: &str) -> Parsed {
    let parts: Vec<_> = text.split(' ').collect();
    match parts[..] {
        ["a" | "b" | "c", numbers, rights]
            if numbers.contains(':') && rights.chars().all(|c| "rwm".contains(c)) =>
        {
            Ok(text.into())
        }
        _ => Err("write a rule such as 'c 1:3 mr'".to_owned()),
    }
}

pub fn mac(text: &str) -> Parsed {
    let parts: Vec<_> = text.split([':', '-']).collect();
    let is_byte = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    if parts.len() == 6 && parts.iter().all(is_byte) {
        Ok(text.into())
    } else {
        Err("write a MAC address such as 02:42:ac:11:00:02".to_owned())
    }
}

/// Splits at commas, except in double quotes, as a line of CSV.
pub fn fields(text: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => {
                if let Some(field) = fields.last_mut() {
                    field.push(c);
                }
            }
        }
    }
    fields
}
