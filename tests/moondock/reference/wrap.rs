//! Wraps Markdown and comments.

/// The longest line, in columns.
pub const WIDTH: usize = 100;

/// Wraps the paragraphs and list items of a page. Tables, headings and code stay as they are.
pub fn markdown(text: &str) -> String {
    let mut page = String::new();
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        if !in_code && is_prose(line) {
            if line.starts_with("* ") {
                flush(&mut paragraph, &mut page);
            }
            paragraph += line.trim();
            paragraph.push(' ');
            continue;
        }
        flush(&mut paragraph, &mut page);
        in_code ^= is_fence;
        page += line;
        page.push('\n');
    }
    flush(&mut paragraph, &mut page);
    page
}

fn is_prose(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['|', '#']) && !line.starts_with("```")
}

fn flush(paragraph: &mut String, page: &mut String) {
    let indent = if paragraph.starts_with("* ") {
        "  "
    } else {
        ""
    };
    for (number, line) in lines(paragraph, WIDTH - indent.len()).iter().enumerate() {
        if number > 0 {
            *page += indent;
        }
        *page += line;
        page.push('\n');
    }
    paragraph.clear();
}

/// Wraps a text at `width` columns, without a break inside of inline code.
pub fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in words(text) {
        let columns = word.chars().count();
        match lines.last_mut() {
            Some(line) if columns < room => {
                line.push(' ');
                *line += &word;
                room -= columns + 1;
            }
            _ => {
                lines.push(word);
                room = width.saturating_sub(columns);
            }
        }
    }
    lines
}

/// The words of a text; inline code is part of one word.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if is_open => {
                last.push(' ');
                *last += word;
            }
            _ => words.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    words
}
