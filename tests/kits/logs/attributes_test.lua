local fs = require("@moondock/fs")
local json = require("@moondock/json")
local test = require("@moondock/test")

local INFO = {
  ContainerID = "c0ffee0123456789c0ffee",
  ContainerName = "/web",
  ContainerEntrypoint = "sh",
  ContainerArgs = { "-c", "date" },
  ContainerImageID = "sha256:0123456789abcdef0123",
  ContainerImageName = "busybox",
  ContainerEnv = { "A=1", "B=x=y", "C", "A=2", "team=env", "LONG_A=\nall", "=none" },
  ContainerLabels = { ["com.example.a"] = "l1", ["com.example.b"] = "", team = "label" },
  DaemonName = "docker",
}

-- Returns what is kept with each line of a container.
local function attributes_of(info)
  local log = test.container_log(info)
  log.write("hello")
  log.stop()
  local line = string.match(fs.read(`/logs/{info.ContainerID}/json.log`), "([^\n]*)\n$")
  return json.decode(line).attrs or {}
end

local function of(config)
  local info: { [string]: any } = table.clone(INFO)
  info.Config = config
  return attributes_of(info)
end

-- Returns why Docker's user gets no such container.
local function refused(config)
  local message = test.fails(function()
    of(config)
  end)
  return (string.gsub(message, "^.- failed: ", ""))
end

test.case("nothing is added unless an option asks for it", function()
  test.equal(of(nil), {})
  test.equal(of({ labels = "", ["labels-regex"] = "", env = "", ["env-regex"] = "", tag = "" }), {})
  test.equal(
    attributes_of({ ContainerID = "a", Config = { labels = "a", env = "b", tag = "" } }),
    {}
  )
end)

test.case("labels and variables are chosen by name", function()
  test.equal(of({ labels = "com.example.b,missing,com.example" }), { ["com.example.b"] = "" })
  test.equal(of({ env = "A,B,C,D" }), { A = "2", B = "x=y" })
end)

test.case("labels and variables are chosen by regular expression", function()
  test.equal(
    of({ ["labels-regex"] = [[^com\.example\.(a|b)$]] }),
    { ["com.example.a"] = "l1", ["com.example.b"] = "" }
  )
  test.equal(of({ ["env-regex"] = "(?i)^long_" }), { LONG_A = "\nall" })
  test.equal(of({ ["env-regex"] = "A$", env = "B" }), { A = "2", LONG_A = "\nall", B = "x=y" })
end)

test.case("a variable wins over a label and the tag over both", function()
  test.equal(of({ labels = "team", env = "team" }), { team = "env" })
  local info: { [string]: any } = table.clone(INFO)
  info.ContainerLabels, info.Config = { tag = "label" }, { labels = "tag", tag = "own" }
  test.equal(attributes_of(info), { tag = "own" })
end)

test.case("a tag has the fields of dockers templates", function()
  for template, text in
    {
      ["{{.ID}}"] = "c0ffee012345",
      ["{{.FullID}}"] = INFO.ContainerID,
      ["{{.Name}}/{{ .ID }}"] = "web/c0ffee012345",
      ["{{.ImageName}}@{{.ImageID}}"] = "busybox@0123456789ab",
      ["{{.ImageFullID}}"] = INFO.ContainerImageID,
      ["<{{.DaemonName}}> }}"] = "<docker> }}",
      ["{{.Command}}"] = "sh -c date",
      ["plain"] = "plain",
    }
  do
    test.equal(of({ tag = template }).tag, text)
  end
end)

test.case("messages name the option", function()
  test.equal(
    refused({ tag = "{{.Nmae}}" }),
    'option "tag": there is no `{{.Nmae}}`; did you mean `{{.Name}}`?'
  )
  test.equal(
    refused({ tag = "a{{upper .Name}}" }),
    'option "tag": there is no `{{upper .Name}}`; did you mean `{{.Name}}`?'
  )
  local long = refused({ tag = '{{index .ContainerLabels "a"}}' })
  test.match(long, "; there are {{.Command}}, {{.DaemonName}}, {{.FullID}}")
  test.equal(refused({ tag = "{{.Name" }), 'option "tag" is "{{.Name": a `{{` lacks its `}}`')
  local wrong = refused({ ["labels-regex"] = "(a" })
  test.match(wrong, 'option "labels%-regex" is "%(a": ')
  wrong = refused({ ["env-regex"] = "a(?=b)" })
  test.match(wrong, 'option "env%-regex" is "a%(%?=b%)": ')
end)
