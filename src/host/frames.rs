//! Frames of the call stack.

use super::protected::PRELUDE;
use mlua::Lua;

/// What the names of kits and std modules begin with.
pub const OWN: &str = "@moondock/";

/// Returns the file and line of the innermost frame that is in one of the author's own files.
pub fn own_frame(lua: &Lua) -> Option<(String, usize)> {
    let frame = |level| {
        lua.inspect_stack(level, |frame| {
            let source = frame.source().source?;
            let file = source.strip_prefix('=')?.to_owned();
            Some((file, frame.current_line()?))
        })
    };
    let is_own = |file: &str| {
        file.starts_with(OWN)
            || file == &PRELUDE[1..]
            || file == "[C]"
            || file.starts_with("__mlua")
    };
    (0..)
        .map_while(frame)
        .flatten()
        .find(|(file, _)| !is_own(file))
}
