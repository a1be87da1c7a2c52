//! Tests of the kits and the shipped scripts on a machine of Lua tables (`kits/world.luau`), whose
//! process can be killed before any host call, and restarted with its durable state.

use mlua::{Function, Lua, Table, Value};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::thread;

const DIRECTORY: &str = "tests/moondock/kits";

/// Runs every `*_test.luau` in the directory, each on a thread of its own.
#[test]
fn lua_tests_pass() {
    let files = test_files();
    assert!(!files.is_empty(), "no tests in {DIRECTORY}");
    let failed: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(move || run(file)))
            .collect();
        running
            .into_iter()
            .flat_map(|file| file.join().unwrap())
            .collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn test_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(DIRECTORY).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_str().unwrap().ends_with("_test.luau"));
    files.sort();
    files
}

/// Runs every function of a Lua test file, each on a new machine, and returns the failures.
fn run(file: &Path) -> Vec<String> {
    let lua = Lua::new();
    let tests = load(&lua, file);
    let mut failed = Vec::new();
    for (name, _) in tests.pairs::<String, Value>().map(Result::unwrap) {
        let lua = Lua::new();
        let test: Function = load(&lua, file).get(name.as_str()).unwrap();
        if let Err(error) = test.call::<()>(()) {
            failed.push(format!("{}: {name}: {error}", file.display()));
        }
    }
    failed
}

fn load(lua: &Lua, file: &Path) -> Table {
    let globals = lua.globals();
    globals
        .set("compile", lua.create_function(compile).unwrap())
        .unwrap();
    globals.set("arithmetic", arithmetic(lua).unwrap()).unwrap();
    globals
        .set("nearest", lua.create_function(nearest).unwrap())
        .unwrap();
    globals
        .set("matching", lua.create_function(matching).unwrap())
        .unwrap();
    globals
        .set(
            "world",
            source(lua, &Path::new(DIRECTORY).join("world.luau"))
                .unwrap()
                .call::<Table>(())
                .unwrap(),
        )
        .unwrap();
    source(lua, file)
        .unwrap()
        .call(())
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn compile(lua: &Lua, path: String) -> mlua::Result<Value> {
    let path = PathBuf::from(path);
    if path.exists() {
        source(lua, &path).map(Value::Function)
    } else {
        Ok(Value::Nil)
    }
}

fn source(lua: &Lua, path: &Path) -> mlua::Result<Function> {
    lua.load(fs::read_to_string(path)?)
        .set_name(format!("@{}", path.display()))
        .into_function()
}

/// `nearest` of `@moondock/names`.
fn nearest(_: &Lua, (name, names): (String, Vec<String>)) -> mlua::Result<Option<String>> {
    let near = moondock::host::nearest(&name, names.iter().map(String::as_str));
    Ok(near.map(str::to_owned))
}

/// `matching` of `@moondock/names`.
fn matching(_: &Lua, (pattern, names): (String, Vec<String>)) -> mlua::Result<Vec<String>> {
    let pattern = regex_lite::Regex::new(&pattern).map_err(mlua::Error::external)?;
    Ok(names
        .into_iter()
        .filter(|name| pattern.is_match(name))
        .collect())
}

/// The pure functions of `@moondock/net`.
fn arithmetic(lua: &Lua) -> mlua::Result<Table> {
    let net = lua.create_table()?;
    net.set("parse_cidr", lua.create_function(parse_cidr)?)?;
    net.set(
        "canonical",
        lua.create_function(|_, text: String| Ok(show(canonical(cidr(&text)?))))?,
    )?;
    net.set(
        "contains",
        lua.create_function(|_, (a, b): (String, String)| Ok(contains(cidr(&a)?, either(&b)?)))?,
    )?;
    net.set(
        "overlaps",
        lua.create_function(|_, (a, b): (String, String)| {
            let (a, b) = (cidr(&a)?, cidr(&b)?);
            Ok(contains(a, b) || contains(b, a))
        })?,
    )?;
    net.set(
        "prefix_bits",
        lua.create_function(|_, a: String| {
            let (address, prefix) = either(&a)?;
            let family = if address.is_ipv4() { '4' } else { '6' };
            let all = format!("{:0128b}", bits(address));
            let bits = &all[128 - usize::from(width(address))..][..usize::from(prefix)];
            Ok(format!("{family}{bits}"))
        })?,
    )?;
    net.set(
        "ip_add",
        lua.create_function(|_, (a, n): (String, i64)| {
            let a = ip(&a)?;
            Ok(from_bits(a, bits(a).wrapping_add_signed(i128::from(n))).to_string())
        })?,
    )?;
    net.set(
        "ip_compare",
        lua.create_function(|_, (a, b): (String, String)| Ok(ip(&a)?.cmp(&ip(&b)?) as i8))?,
    )?;
    net.set(
        "subnets",
        lua.create_function(|_, (a, prefix, index): (String, u8, u64)| {
            let (address, own) = canonical(cidr(&a)?);
            let shift = u32::from(width(address) - prefix);
            let found = (index >> (prefix - own).min(63)) == 0;
            Ok(found.then(|| {
                show((
                    from_bits(address, bits(address) | (u128::from(index) << shift)),
                    prefix,
                ))
            }))
        })?,
    )?;
    net.set(
        "mac_from_ip",
        lua.create_function(|_, a: String| {
            let [.., a, b, c, d] = bits(ip(&a)?).to_be_bytes();
            Ok(format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"))
        })?,
    )?;
    Ok(net)
}

fn parse_cidr(lua: &Lua, text: String) -> mlua::Result<Table> {
    let (address, prefix) = cidr(&text)?;
    let network = canonical((address, prefix)).0;
    let table = lua.create_table()?;
    table.set("address", address.to_string())?;
    table.set("network", network.to_string())?;
    table.set("prefix", prefix)?;
    table.set("family", if address.is_ipv4() { 4 } else { 6 })?;
    table.set("size", 2f64.powi(i32::from(width(address) - prefix)))?;
    if address.is_ipv4() && prefix < 31 {
        table.set(
            "broadcast",
            from_bits(address, bits(network) | !mask(width(address), prefix)).to_string(),
        )?;
    }
    Ok(table)
}

type Cidr = (IpAddr, u8);

fn ip(text: &str) -> mlua::Result<IpAddr> {
    text.parse()
        .map_err(|_| mlua::Error::runtime(format!("`{text}` is no IP address")))
}

fn cidr(text: &str) -> mlua::Result<Cidr> {
    let wrong = || mlua::Error::runtime(format!("`{text}` is no network"));
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    Ok((ip(address)?, prefix.parse().map_err(|_| wrong())?))
}

fn either(text: &str) -> mlua::Result<Cidr> {
    if text.contains('/') {
        cidr(text)
    } else {
        ip(text).map(|ip| (ip, width(ip)))
    }
}

fn show((address, prefix): Cidr) -> String {
    format!("{address}/{prefix}")
}

fn canonical((address, prefix): Cidr) -> Cidr {
    (
        from_bits(address, bits(address) & mask(width(address), prefix)),
        prefix,
    )
}

fn contains((a, prefix): Cidr, (b, inner): Cidr) -> bool {
    a.is_ipv4() == b.is_ipv4()
        && prefix <= inner
        && canonical((a, prefix)) == canonical((b, prefix))
}

fn mask(width: u8, prefix: u8) -> u128 {
    u128::MAX
        .checked_shl(u32::from(width - prefix))
        .unwrap_or(0)
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn from_bits(like: IpAddr, bits: u128) -> IpAddr {
    if like.is_ipv4() {
        Ipv4Addr::from_bits(bits as u32).into()
    } else {
        Ipv6Addr::from_bits(bits).into()
    }
}
