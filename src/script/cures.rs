//! What to do about a mistake, by a part of its message.

/// Cures by a part of the message. `{}` stands for what follows that part.
const CURES: &[(&str, &str)] = &[
    (
        "returned a second value, \"",
        "nothing reads a second value: report a failure with `error(\"{}, 0)`",
    ),
    (
        "returned a second value",
        "nothing reads a second value: return one, and report a failure with `error(\"…\", 0)`",
    ),
    (
        "attempt to index nil",
        "the value before the dot is nil here: check it first (`if x then …`)",
    ),
    (
        "attempt to call a nil value",
        "no function of this name exists here: check the spelling, or `require` its module",
    ),
    (
        "attempt to call missing method",
        "no function of this name exists here: check the spelling",
    ),
    (
        "attempt to yield across",
        "a function that waits cannot be called from a `table.sort` or `string.gsub` callback or a metamethod: call it first and pass the result in",
    ),
    (
        "attempt to concatenate nil",
        "one of the values joined by `..` is nil: check it first, or use `tostring`",
    ),
    (
        "attempt to modify a readonly table",
        "the library and Moondock's modules cannot be changed: use a table of your own",
    ),
    (
        "attempt to perform arithmetic",
        "one of the operands is not a number: check it, or use `tonumber`",
    ),
    (
        "attempt to compare",
        "the two values are of different types: convert one of them first",
    ),
    (
        "stack overflow",
        "look for a function that calls itself endlessly",
    ),
    (
        "Expected 'end'",
        "a `function`, `if`, `for` or `while` above has no `end`",
    ),
    (
        "Expected '}'",
        "a table above is not closed, or a comma is missing",
    ),
];

/// What Luau has instead of other languages' syntax: by a part of its message, and a part of the
/// line.
const SYNTAX: &[(&str, &str, &str)] = &[
    (
        "Incomplete statement",
        "goto ",
        "Luau has no `goto`: use `continue`, `break`, or `return` in a function of its own",
    ),
    (
        "got '::'",
        "::",
        "Luau has no labels and no `goto`: use `continue` or `break`",
    ),
    (
        "got '&'",
        "&",
        "Luau has no operators for bits: write `bit32.band(a, b)`",
    ),
    (
        "got '|'",
        "|",
        "Luau has no operators for bits: write `bit32.bor(a, b)`",
    ),
    (
        "got '~'",
        "~",
        "Luau has no operators for bits: write `bit32.bxor(a, b)` or `bit32.bnot(a)`",
    ),
    (
        "got '<'",
        "<<",
        "Luau has no operators for bits: write `bit32.lshift(a, count)`",
    ),
    (
        "got '>'",
        ">>",
        "Luau has no operators for bits: write `bit32.rshift(a, count)`",
    ),
    (
        "got '<'",
        "<const>",
        "Luau has no `<const>`: leave it out, or protect a table with `table.freeze`",
    ),
    (
        "got '<'",
        "<close>",
        "Luau has no `<close>`: call what cleans up yourself, after a `pcall`",
    ),
    ("Incomplete statement", "++", "write `x += 1`"),
    ("Incomplete statement", "let ", "write `local x = …`"),
    ("Incomplete statement", "var ", "write `local x = …`"),
    ("Incomplete statement", "const ", "write `local x = …`"),
    (
        "Incomplete statement",
        "import ",
        "write `local fs = require(\"@moondock/fs\")`",
    ),
    ("got '//'", "//", "a comment begins with `--`"),
    ("Incomplete statement", "//", "a comment begins with `--`"),
    ("got '#'", "#", "a comment begins with `--`"),
    ("got '['", "[", "a list is written `{ 1, 2 }`"),
    ("got '?'", "?", "write `if a then b else c`"),
    (
        "got '{'",
        "function",
        "the body of a function has no braces: it ends with `end`",
    ),
    (
        "parsing method name",
        ":",
        "fields of a table are written `name = value`",
    ),
];

/// What Luau expects where an expression has ended.
const AFTER_EXPRESSION: [&str; 4] = [
    "Expected 'end'",
    "Expected 'then'",
    "Expected 'do'",
    "Expected 'until'",
];

/// Returns what to do about an error, by its message alone.
pub(super) fn cure_of(message: &str) -> Option<String> {
    let ends_with_equals = message.ends_with("got '='");
    if ends_with_equals && AFTER_EXPRESSION.iter().any(|part| message.contains(part)) {
        return Some("`=` assigns a value: compare with `==`".to_owned());
    }
    CURES.iter().find_map(|(part, cure)| {
        let (_, rest) = message.split_once(part)?;
        Some(cure.replace("{}", rest))
    })
}

/// Returns what to write instead of a line that Luau cannot read.
pub(super) fn cure_of_syntax(message: &str, line: &str) -> Option<String> {
    let fits =
        |(part, text, _): &&(&str, &str, &str)| message.contains(part) && line.contains(text);
    SYNTAX
        .iter()
        .find(fits)
        .map(|(_, _, cure)| (*cure).to_owned())
}
