local fs = require("@moondock/fs")
local json = require("@moondock/json")
local test = require("@moondock/test")

local ID = string.rep("c", 64)
local DIR = "/var/lib/moondock/logs/" .. ID

-- Returns the lines of a file, decoded.
local function records(file)
  local list = {}
  for line in string.gmatch(fs.read(`{DIR}/{file}`), "([^\n]*)\n") do
    table.insert(list, json.decode(line))
  end
  return list
end

local function start(options)
  return test.container_log({ ContainerID = ID, Config = options })
end

test.case("lines are kept as Docker's json-file keeps them", function()
  local log = start()
  test.is_true(log.write({
    { line = "hello", time = "1767225600123456789" },
    { line = "oh", source = "stderr", time = "1767225601000000000" },
  }))
  local first, second = table.unpack(records("json.log"))
  test.equal(
    { first.time, first.stream, first.log },
    { "2026-01-01T00:00:00.123456789Z", "stdout", "hello\n" }
  )
  test.equal({ second.stream, second.log }, { "stderr", "oh\n" })
  test.equal(fs.stat(DIR .. "/json.log").mode, tonumber("0640", 8))
  test.equal(log.read(), {
    { line = "hello", source = "stdout", time = "1767225600123456789" },
    { line = "oh", source = "stderr", time = "1767225601000000000" },
  })
end)

test.case("bytes and parts of long lines come back as they were", function()
  local log = start()
  local part =
    { line = "abc", time = "1", partial = true, partial_id = "x", ordinal = 1, last = false }
  local last =
    { line = "def", time = "2", partial = true, partial_id = "x", ordinal = 2, last = true }
  local bytes = { line = "\xff\0\xfe", source = "stdout", time = "3" }
  log.write({ part, last, bytes })
  part.source, last.source = "stdout", "stdout"
  test.equal(log.read(), { part, last, bytes })
end)

test.case("a full file is renamed, and the oldest of too many is removed", function()
  local log = start({ ["max-size"] = "600", ["max-file"] = "2" })
  for n = 1, 9 do
    log.write(`line {n} {string.rep("x", 100)}`)
  end
  test.equal(fs.list(DIR), { "json.log", "json.log.1" })
  for _, file in { "json.log", "json.log.1" } do
    test.is_true(fs.stat(`{DIR}/{file}`).size <= 600, `the size of {file}`)
  end
  local lines = log.lines()
  test.match(lines[#lines], "^line 9 ")
  for n = 2, #lines do
    local before, now = string.match(lines[n - 1], "%d+"), string.match(lines[n], "%d+")
    test.equal(tonumber(now), tonumber(before) + 1, "the number of the next line")
  end
end)

test.case("settings limit the files, unless options do", function()
  test.settings({ max_size = "600", max_file = 1 })
  local log = start()
  for n = 1, 9 do
    log.write(`line {n} {string.rep("x", 100)}`)
  end
  test.equal(fs.list(DIR), { "json.log" })
  log.stop()
  log = start({ ["max-size"] = "1m" })
  for n = 1, 9 do
    log.write(`more {n} {string.rep("x", 100)}`)
  end
  test.match(log.lines({ Tail = 9 })[1], "^more 1 ")
end)

test.cases("docker logs shows the lines that it asks for", {
  { name = "all", wanted = { "1", "2", "3", "4" } },
  { name = "--tail 2", config = { Tail = 2 }, wanted = { "3", "4" } },
  { name = "--tail 0", config = { Tail = 0 }, wanted = {} },
  { name = "--tail 9", config = { Tail = 9 }, wanted = { "1", "2", "3", "4" } },
  { name = "--since", config = { Since = "2026-01-01T00:00:02Z" }, wanted = { "2", "3", "4" } },
  { name = "--until", config = { Until = "2026-01-01T00:00:02Z" }, wanted = { "1", "2" } },
  {
    name = "--since --until",
    config = { Since = "2026-01-01T01:00:02+01:00", Until = "2026-01-01T00:00:03Z" },
    wanted = { "2", "3" },
  },
  { name = "--since later", config = { Since = "2027-01-01T00:00:00Z" }, wanted = {} },
}, function(row)
  local log = start({ ["max-size"] = "250", ["max-file"] = "9" })
  for n = 1, 4 do
    log.write({ { line = tostring(n), time = `{1767225600 + n}000000000` } })
  end
  test.is_true(#fs.list(DIR) > 1, "several files")
  test.equal(log.lines(row.config), row.wanted)
end)

test.case("docker logs --follow shows lines until the container ends", function()
  local log = start()
  log.write("before")
  local seen
  test.together(function()
    seen = log.lines({ Follow = true })
  end, function()
    for n = 1, 3 do
      test.advance(1)
      log.write(`line {n}`)
    end
    log.stop()
  end)
  test.equal(seen, { "before", "line 1", "line 2", "line 3" })
end)

test.case("a container that starts again goes on with its log", function()
  local log = start()
  log.write("first")
  log.stop()
  log = start()
  log.write("second")
  test.equal(log.lines(), { "first", "second" })
  log.stop()
  test.equal(log.lines(), { "first", "second" })
end)

test.cases("options are refused when the container starts", {
  { options = { ["max-siz"] = "1m" }, why = 'unknown option "max%-siz": did you mean "max%-size"' },
  { options = { ["max-size"] = "big" }, why = 'option "max%-size" is "big"' },
  { options = { ["max-size"] = "0" }, why = '"max%-size" must be greater than 0' },
  { options = { ["max-file"] = "0" }, why = '"max%-file" must be at least 1' },
  { options = { compress = "true" }, why = "does not compress files" },
  { options = { tag = "{{.Nmae}}" }, why = "did you mean `{{.Name}}`" },
  { options = { ["labels-regex"] = "(" }, why = 'option "labels%-regex" is "%("' },
}, function(row)
  test.fails(function()
    start(row.options)
  end, row.why)
  test.equal(fs.exists(DIR), false)
end)

test.case("options choose what is kept with each line", function()
  local log = test.container_log({
    ContainerID = ID,
    ContainerLabels = { team = "blue", other = "x" },
    ContainerEnv = { "STAGE=test", "SECRET=x" },
    Config = { labels = "team", env = "STAGE", tag = "{{.Name}}", compress = "false" },
  })
  log.write("hello")
  test.equal(records("json.log")[1].attrs, { team = "blue", STAGE = "test", tag = "web" })
end)

test.case("a settings file with a wrong size is an error of the script", function()
  test.settings({ max_size = "big" })
  test.fails(start, "big")
end)

test.case("no line is lost or doubled when the plugin is killed at each step", function()
  local log = start({ ["max-size"] = "400", ["max-file"] = "99" })
  local printed = 0
  local steps = test.killed_anywhere(function()
    printed += 1
    log.write(`line {printed}`)
  end, function()
    test.is_true(log.taken(), "the lines are taken")
    local lines = log.lines()
    test.equal(#lines, printed, "the number of lines")
    test.equal(lines[printed], `line {printed}`)
  end)
  test.is_true(steps >= 2, `only {steps} steps`)
end)

test.case("a batch that is delivered again is written once", function()
  local request = {
    Entries = {
      { time = "1", seq = 1, line = "one", source = "stdout" },
      { time = "2", seq = 2, line = "two", source = "stdout" },
    },
    Info = { ContainerID = ID, File = "/run/docker/logging/x" },
  }
  test.call("log.write_batch", request)
  test.restart()
  table.insert(request.Entries, { time = "3", seq = 3, line = "three", source = "stdout" })
  test.call("log.write_batch", request)
  local kept = {}
  for _, record in records("json.log") do
    table.insert(kept, record.log)
  end
  test.equal(kept, { "one\n", "two\n", "three\n" })
end)

test.case("a line that a kill has cut off does not spoil the next", function()
  local log = start()
  log.write("first")
  fs.write(DIR .. "/json.log", '{"time":"2026-', { append = true })
  test.restart()
  log.write("second")
  test.equal(log.lines(), { "first", "second" })
end)

test.case("lines wait for a full disk", function()
  local log = start()
  log.write("before")
  test.full_disk()
  test.equal(log.write("after"), false, "whether the line is taken")
  test.is_true(#test.log("No space left on device") > 0, "the log says why")
  test.heal()
  test.is_true(log.taken())
  test.equal(log.lines(), { "before", "after" })
end)
