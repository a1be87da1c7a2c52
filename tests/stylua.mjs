// Formats the repository's Lua files by stylua.toml, or with --check lists those that are not formatted.
// usage: node tests/stylua.mjs DIRECTORY-WITH-NODE-MODULES [--check]
//
// It runs the WebAssembly build of StyLua from npm, which installs without a compiler or a download from elsewhere.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDERS = ["scripts", "tests"];
const [installed, mode] = process.argv.slice(2);
const stylua = createRequire(resolve(installed, "package.json"))("@johnnymorganz/stylua");

// The type of each setting that has named values.
const NAMED = {
  syntax: stylua.LuaVersion,
  line_endings: stylua.LineEndings,
  indent_type: stylua.IndentType,
  quote_style: stylua.QuoteStyle,
  call_parentheses: stylua.CallParenType,
  collapse_simple_statement: stylua.CollapseSimpleStatement,
  block_newline_gaps: stylua.BlockNewlineGaps,
};

function settings() {
  const config = stylua.Config.new();
  for (const line of readFileSync(join(ROOT, "stylua.toml"), "utf8").split("\n")) {
    const setting = line.match(/^(\w+) = "?(\w+)"?$/);
    if (!setting) continue;
    const [, name, value] = setting;
    if (!(name in config)) throw new Error(`stylua.toml: unknown setting ${name}`);
    config[name] = name in NAMED ? NAMED[name][value] : Number(value);
  }
  return config;
}

function luaFiles() {
  const ignored = readFileSync(join(ROOT, ".styluaignore"), "utf8").split("\n").filter(Boolean);
  const list = (folder) => readdirSync(join(ROOT, folder), { recursive: true });
  return FOLDERS.flatMap((folder) => list(folder).map((file) => join(folder, file)))
    .filter((file) => /\.luau?$/.test(file) && !ignored.some((start) => file.startsWith(start)))
    .sort();
}

let changed = 0;
for (const file of luaFiles()) {
  const text = readFileSync(join(ROOT, file), "utf8");
  const formatted = stylua.formatCode(text, settings(), null, stylua.OutputVerification.Full);
  if (formatted === text) continue;
  changed += 1;
  console.log(mode === "--check" ? `${file} is not formatted` : `${file} formatted`);
  if (mode !== "--check") writeFileSync(join(ROOT, file), formatted);
}
if (mode === "--check" && changed > 0) {
  console.error("run tests/run --format");
  process.exit(1);
}
