//! What hostile scripts do, as the text of a hook.

pub const CPU: &str = "ms of CPU time without yielding";
pub const MEMORY: &str = "MiB of memory";
pub const DEADLINE: &str = "did not answer within 300 ms";

/// In a driver's error; in a policy's it is that script's name.
const ANY: &str = "volume.lua";

/// What the text of a hook does, and why its call must fail.
pub type Case = (&'static str, &'static str, &'static str);

pub const LOOPS: &[Case] = &[
    ("a loop", CPU, "while true do end"),
    ("a numeric loop", CPU, "for i = 1, 1e15 do end"),
    ("repeat", CPU, "repeat until false"),
    (
        "goes on after its error",
        CPU,
        "while true do pcall(function() while true do end end) end",
    ),
    (
        "pcall in pcall",
        CPU,
        "while true do pcall(pcall, pcall, function() while true do end end) end",
    ),
    (
        "an xpcall handler",
        CPU,
        "xpcall(error, function() while true do end end)",
    ),
    (
        "xpcall again and again",
        CPU,
        "while true do xpcall(function() while true do end end, function() end) end",
    ),
    (
        "a handler within a handler",
        CPU,
        "local function h() xpcall(error, h) while true do end end h()",
    ),
    (
        "a coroutine",
        CPU,
        "coroutine.wrap(function() while true do end end)()",
    ),
    (
        "a coroutine, resumed for ever",
        CPU,
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    ),
    (
        "coroutines in coroutines",
        CPU,
        "local function nest() coroutine.wrap(nest)() while true do end end while true do pcall(nest) end",
    ),
    (
        "pcall in a coroutine",
        CPU,
        "local co = coroutine.create(function() while true do pcall(function() while true do end end) end end) while true do coroutine.resume(co) end",
    ),
    (
        "a yielding generator without an end",
        CPU,
        "for x in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
    ),
    (
        "closing coroutines for ever",
        CPU,
        "while true do local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end",
    ),
    (
        "a sort comparator",
        CPU,
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ),
    (
        "a comparator that catches",
        CPU,
        "table.sort({ 1, 2, 3 }, function() while true do pcall(function() while true do end end) end end)",
    ),
    (
        "a gsub callback",
        CPU,
        "string.gsub('x', 'x', function() while true do end end)",
    ),
    (
        "table.foreach",
        CPU,
        "table.foreach({ 1 }, function() while true do end end)",
    ),
    (
        "__index",
        CPU,
        "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    ),
    (
        "__newindex",
        CPU,
        "local t = setmetatable({}, { __newindex = function() while true do end end }) t.x = 1",
    ),
    (
        "__call",
        CPU,
        "setmetatable({}, { __call = function() while true do end end })()",
    ),
    (
        "__tostring",
        CPU,
        "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    (
        "__tostring of an error",
        CPU,
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    (
        "__index of an error",
        ANY,
        "error(setmetatable({}, { __index = function() while true do end end }))",
    ),
    (
        "__iter",
        CPU,
        "for k in setmetatable({}, { __iter = function() while true do end end }) do end",
    ),
    (
        "an iterator without an end",
        CPU,
        "for k in function() return 1 end do end",
    ),
    (
        "__eq",
        CPU,
        "local m = { __eq = function() while true do end end } return setmetatable({}, m) == setmetatable({}, m)",
    ),
    (
        "__eq in table.find",
        CPU,
        "local m = { __eq = function() while true do end end } return table.find({ setmetatable({}, m) }, setmetatable({}, m))",
    ),
    (
        "__lt",
        CPU,
        "local m = { __lt = function() while true do end end } return setmetatable({}, m) < setmetatable({}, m)",
    ),
    (
        "__concat",
        CPU,
        "local m = { __concat = function() while true do end end } return setmetatable({}, m) .. ''",
    ),
    (
        "__len",
        CPU,
        "return #setmetatable({}, { __len = function() while true do end end })",
    ),
    (
        "__unm",
        CPU,
        "return -setmetatable({}, { __unm = function() while true do end end })",
    ),
    (
        "print of __tostring",
        CPU,
        "print(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    (
        "the log's fields",
        CPU,
        "while true do log.debug('x', { a = 1 }) end",
    ),
    (
        "printing for ever",
        CPU,
        "while true do print(('x'):rep(9000)) end",
    ),
    ("reading the clock", CPU, "while true do time.now() end"),
    (
        "waiting that does not wait",
        DEADLINE,
        "while true do time.sleep(0) end",
    ),
    (
        "yielding to nobody",
        DEADLINE,
        "while true do coroutine.yield() end",
    ),
    ("sleeping", DEADLINE, "time.sleep(1000)"),
    (
        "sleeping, and caught",
        DEADLINE,
        "while true do pcall(time.sleep, 1000) end",
    ),
    (
        "sleeping in a coroutine",
        DEADLINE,
        "coroutine.wrap(function() time.sleep(1000) end)()",
    ),
];

pub const CATCHERS: &[Case] = &[
    (
        "returns true after it",
        CPU,
        "pcall(function() while true do end end) return true",
    ),
    (
        "returns true after a coroutine's",
        CPU,
        "coroutine.resume(coroutine.create(function() while true do end end)) return true",
    ),
    (
        "returns true from a handler",
        CPU,
        "return xpcall(function() while true do end end, function() return true end)",
    ),
    (
        "waits after it",
        CPU,
        "pcall(function() while true do end end) time.sleep(0.01) return true",
    ),
    (
        "waits in a coroutine after it",
        CPU,
        "pcall(function() while true do end end) return coroutine.wrap(function() time.sleep(0.01) return true end)()",
    ),
    (
        "writes after it",
        CPU,
        "pcall(function() while true do end end) fs.write(SCRATCH, 'x') return true",
    ),
    (
        "writes after it, in a pcall",
        CPU,
        "pcall(function() while true do end end) pcall(fs.write, SCRATCH, 'x') return true",
    ),
    (
        "writes in a handler",
        CPU,
        "xpcall(function() while true do end end, function() pcall(fs.write, SCRATCH, 'x') end) return true",
    ),
    (
        "runs a program after it",
        CPU,
        "pcall(function() while true do end end) pcall(process.run, { argv = { 'touch', SCRATCH } }) return true",
    ),
    (
        "keeps a value after it",
        CPU,
        "pcall(function() while true do end end) pcall(store.set, 'kept', 1) return true",
    ),
    (
        "commits after it",
        CPU,
        "store.transaction(function(tx) tx:set('kept', 1) pcall(function() while true do end end) end) return true",
    ),
    (
        "commits after memory",
        MEMORY,
        "store.transaction(function(tx) tx:set('kept', 1) pcall(string.rep, 'x', 2 ^ 30) end) return true",
    ),
    (
        "returns true after memory",
        MEMORY,
        "pcall(string.rep, 'x', 2 ^ 30) return true",
    ),
    (
        "returns true after memory of a handler",
        MEMORY,
        "xpcall(string.rep, function() return true end, 'x', 2 ^ 30) return true",
    ),
    (
        "returns true after memory in a coroutine",
        MEMORY,
        "coroutine.resume(coroutine.create(function() local t = {} while true do t[#t + 1] = {} end end)) return true",
    ),
    (
        "writes after memory",
        MEMORY,
        "pcall(string.rep, 'x', 2 ^ 30) fs.write(SCRATCH, 'x') return true",
    ),
];

pub const BOMBS: &[Case] = &[
    ("one text", MEMORY, "return ('x'):rep(2 ^ 30)"),
    (
        "a growing text",
        MEMORY,
        "local s = 'x' while true do s = s .. s end",
    ),
    (
        "texts",
        MEMORY,
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    ),
    (
        "a table",
        MEMORY,
        "local t = {} while true do t[#t + 1] = 1 end",
    ),
    (
        "a sparse table",
        MEMORY,
        "local t = {} for i = 1, 1e9 do t[i * 7.5] = true end",
    ),
    ("tables", MEMORY, "local t = {} while true do t = { t } end"),
    // `table.clone` alone never has Luau collect.
    (
        "clones",
        MEMORY,
        "local t = table.create(2e5, '') while true do table.clone(t) end",
    ),
    ("a made table", MEMORY, "return table.create(2 ^ 26, 1)"),
    (
        "buffers",
        MEMORY,
        "local t = {} while true do t[#t + 1] = buffer.create(2 ^ 20) end",
    ),
    (
        "closures",
        MEMORY,
        "local t = {} while true do t[#t + 1] = function() return t end end",
    ),
    (
        "coroutines",
        MEMORY,
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    ),
    (
        "waiting coroutines",
        MEMORY,
        "local t = {} while true do local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) t[#t + 1] = co end",
    ),
    (
        "a loop that catches it",
        MEMORY,
        "while true do pcall(string.rep, 'x', 2 ^ 30) end",
    ),
    (
        "a loop of coroutines that catches it",
        MEMORY,
        "while true do coroutine.resume(coroutine.create(function() return ('x'):rep(2 ^ 30) end)) end",
    ),
    (
        "a loop of handlers that catches it",
        MEMORY,
        "while true do xpcall(string.rep, function() end, 'x', 2 ^ 30) end",
    ),
    (
        "caught within",
        MEMORY,
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
    ),
    (
        "a host function's text",
        MEMORY,
        "local s = ('x'):rep(6e6) return hash.hex(s)",
    ),
    (
        "json",
        MEMORY,
        "return json.decode('[' .. ('{},'):rep(1e6) .. '{}]')",
    ),
    (
        "json, caught",
        MEMORY,
        "while true do pcall(json.decode, '[' .. ('{},'):rep(1e6) .. '{}]') end",
    ),
    (
        "kept between calls",
        MEMORY,
        "kept = rawget(getfenv(), 'kept') or {} while true do kept[#kept + 1] = {} end",
    ),
    ("split", MEMORY, "return ('x,'):rep(4e6):split(',')"),
    (
        "format",
        MEMORY,
        "local s = ('x'):rep(5e6) return string.format('%s%s%s%s', s, s, s, s)",
    ),
    (
        "concat",
        MEMORY,
        "local s, t = ('x'):rep(1e5), {} for i = 1, 1000 do t[i] = s end return table.concat(t)",
    ),
    (
        "gsub",
        MEMORY,
        "return ('x'):rep(1e6):gsub('x', ('y'):rep(100))",
    ),
];

pub const DEPTHS: &[Case] = &[
    (
        "recursion",
        "stack overflow",
        "local function f() return 1 + f() end f()",
    ),
    (
        "recursion through pcall",
        CPU,
        "local function f() pcall(f) f() end while true do f() end",
    ),
    (
        "recursion through sort",
        ANY,
        "local function f() table.sort({ 1, 2 }, f) end f()",
    ),
    (
        "recursion through gsub",
        ANY,
        "local function f() ('x'):gsub('x', f) end f()",
    ),
    (
        "recursion through __index",
        ANY,
        "local t = {} setmetatable(t, { __index = function(_, k) return t[k] end }) return t.x",
    ),
    (
        "recursion through coroutines",
        ANY,
        "local function f() coroutine.wrap(f)() end f()",
    ),
    (
        "recursion through locks",
        ANY,
        "local function f(n) store.lock('l' .. n, function() f(n + 1) end) end f(1)",
    ),
    (
        "recursion through tostring",
        ANY,
        "local t = setmetatable({}, { __tostring = tostring }) return tostring(t)",
    ),
    (
        "recursion through print",
        ANY,
        "local t t = setmetatable({}, { __tostring = function() print(t) return 'x' end }) print(t)",
    ),
    (
        "a chain of __index",
        ANY,
        "local t = {} for i = 1, 1e5 do t = setmetatable({}, { __index = t }) end return t.x",
    ),
    ("deep json", ANY, "json.decode(('['):rep(1e6))"),
    (
        "a deep value",
        ANY,
        "local t = {} for i = 1, 1e4 do t = { t } end json.encode(t)",
    ),
    (
        "many arguments",
        ANY,
        "local t = table.create(1e6, 1) return math.max(table.unpack(t))",
    ),
];

pub const LIBRARY: &[Case] = &[
    (
        "find, backtracking",
        CPU,
        "('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40))",
    ),
    (
        "match, backtracking",
        CPU,
        "('a'):rep(1e5):match('.-.-.-.-b')",
    ),
    (
        "match of captures",
        CPU,
        "('a'):rep(1e4):match('(.-)(.-)(.-)%1%2%3b')",
    ),
    (
        "gsub, backtracking",
        CPU,
        "('a'):rep(1e5):gsub('.-.-.-b', '')",
    ),
    (
        "gmatch, backtracking",
        CPU,
        "for x in ('a'):rep(1e5):gmatch('.-.-.-b') do end",
    ),
    ("%b over and over", CPU, "('('):rep(5e5):find('%b()')"),
    (
        "%f over and over",
        CPU,
        "while true do ('a'):rep(1e5):find('%f[b]') end",
    ),
    (
        "a long literal pattern",
        CPU,
        "('a'):rep(2e6):match(('a'):rep(1e6) .. 'b.')",
    ),
    (
        "one long set",
        "too long a `[set]`",
        "('b'):rep(1e6):find('[' .. ('a'):rep(1e6) .. 'b]*')",
    ),
    (
        "one long set in match",
        "too long a `[set]`",
        "('b'):rep(1e6):match('[' .. ('a'):rep(1e6) .. 'b]*')",
    ),
    (
        "one long set in gsub",
        "too long a `[set]`",
        "('b'):rep(1e6):gsub('[' .. ('a'):rep(1e6) .. 'b]*', '')",
    ),
    (
        "one long set in gmatch",
        "too long a `[set]`",
        "('b'):rep(1e6):gmatch('[' .. ('a'):rep(1e6) .. 'b]*')()",
    ),
    (
        "plain find",
        CPU,
        "while true do ('a'):rep(5e6):find(('a'):rep(2e6) .. 'b', 1, true) end",
    ),
    (
        "find without specials",
        CPU,
        "while true do ('a'):rep(5e6):find(('a'):rep(2e6) .. 'b') end",
    ),
    (
        "split by a long text",
        CPU,
        "while true do ('a'):rep(4e6):split(('a'):rep(2e6) .. 'b') end",
    ),
    (
        "moving nothing far",
        "too many elements",
        "table.move({}, 1, 2 ^ 31 - 2, 2, {})",
    ),
    (
        "sorting long texts",
        CPU,
        "local s, t = ('x'):rep(3e6), {} for i = 1, 2e4 do t[i] = i % 2 == 0 and 'a' or 'b' end t[1], t[2] = s .. 'a', s .. 'b' for i = 3, 2e4 do t[i] = t[i % 2 + 1] end table.sort(t)",
    ),
    (
        "sorting much",
        CPU,
        "local t = {} for i = 1, 5e5 do t[i] = (i * 7919) % 1e6 end while true do table.sort(t) end",
    ),
    (
        "inserting in front",
        CPU,
        "local t = table.create(5e5, 1) while true do table.insert(t, 1, 1) t[#t] = nil end",
    ),
    (
        "joining nothing",
        CPU,
        "local t = table.create(5e5, '') while true do table.concat(t) end",
    ),
    (
        "finding nothing",
        CPU,
        "local t = table.create(5e5, '') while true do table.find(t, 'x') end",
    ),
    (
        "utf8",
        CPU,
        "local s = ('é'):rep(2e6) while true do utf8.len(s) end",
    ),
    (
        "unpacking",
        CPU,
        "local t = table.create(7000, 1) while true do select('#', table.unpack(t)) end",
    ),
    (
        "bytes",
        CPU,
        "local s = ('x'):rep(7000) while true do string.char(s:byte(1, -1)) end",
    ),
    (
        "filling a buffer",
        CPU,
        "local b = buffer.create(5e6) while true do buffer.fill(b, 0, 1) end",
    ),
    (
        "reversing",
        CPU,
        "local s = ('x'):rep(1e6) while true do s = s:reverse():upper():lower() end",
    ),
    (
        "numbers from long texts",
        CPU,
        "local s = ('9'):rep(2e6) while true do tonumber(s) end",
    ),
    ("dates", CPU, "while true do os.date(('%c'):rep(100)) end"),
    (
        "packing",
        CPU,
        "local s = ('i4'):rep(2000) while true do pcall(string.pack, s, 1) end",
    ),
    (
        "hashing",
        CPU,
        "local s = ('x'):rep(3e6) while true do hash.sha256(s) end",
    ),
    (
        "writing json that shares",
        CPU,
        "local t = {} for i = 1, 100 do t = { t, t } end json.encode(t)",
    ),
    (
        "writing json of shared texts",
        ANY,
        "local s, t = ('x'):rep(2e6), {} for i = 1, 1e5 do t[i] = s end json.encode(t)",
    ),
    (
        "printing shared texts",
        ANY,
        "local s = ('x'):rep(2e6) for i = 1, 10 do print(table.unpack(table.create(7000, s))) end error('done')",
    ),
    (
        "logging shared texts",
        CPU,
        "local s, t = ('x '):rep(1e6), {} for i = 1, 1e4 do t['k' .. i] = s end while true do log.info('x', t) end",
    ),
    ("a long error", ANY, "error(('x'):rep(4e6))"),
    (
        "arguments of shared texts",
        "`argv` must be a list of strings",
        "local s, t = ('x'):rep(2e6), { 'true' } for i = 2, 1e5 do t[i] = s end process.run({ argv = t })",
    ),
    (
        "variables of shared texts",
        ANY,
        "local s, t = ('x'):rep(2e6), {} for i = 2, 1e5 do t['k' .. i] = s end process.run({ argv = { 'true' }, env = t })",
    ),
];
