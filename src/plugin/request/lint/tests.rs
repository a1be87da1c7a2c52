use super::*;

/// The findings in a policy, one a line: the line, and what is wrong there.
fn found(source: &str) -> Vec<String> {
    let lint = lint([(Path::new("authz.lua"), source.as_bytes())]);
    let all = lint.errors.iter().chain(&lint.warnings);
    all.map(|diagnostic| {
        format!(
            "{} {}",
            diagnostic.line.unwrap_or_default(),
            diagnostic.message
        )
    })
    .collect()
}

#[test]
fn comparisons_that_are_never_true() {
    for (source, wrong) in [
        (
            "if req.action == 'container.creat' then end",
            "1 `req.action` is never `container.creat`; did you mean `container.create`?",
        ),
        (
            "function authz.request(r)\n  return r.action ~= \"image.biuld\"\nend",
            "2 `r.action` is never `image.biuld`; did you mean `image.build`?",
        ),
        (
            "return { request = function(r) return 'raed' == r.effect end }",
            "1 `r.effect` is never `raed`; did you mean `read`?",
        ),
        (
            "x = req.body_state == [[jsn]]",
            "1 `req.body_state` is never `jsn`; did you mean `json`?",
        ),
        (
            "local a = req.action\nif a == 'container.crate' then end",
            "2 `a` is never `container.crate`; did you mean `container.create`?",
        ),
        (
            "for _, m in req.mounts do x = m.via == 'HostConfig.Bind[0]' end",
            "1 `m.via` is never `HostConfig.Bind[0]`",
        ),
        (
            "for _, m in ipairs(req.mounts) do x = m.via ~= 'Hostconfig.Devices' or m.via == '' end",
            "1 `m.via` is never ``",
        ),
        ("x = req.action == ''", "1 `req.action` is never ``"),
    ] {
        assert_eq!(found(source), [wrong], "{source}");
    }
}

#[test]
fn keys_that_are_never_looked_up() {
    for (source, wrong) in [
        (
            "local rules = {}\nrules['container.creat'] = f\nx = rules[req.action]",
            "2 `req.action` is never `container.creat`, a key of `rules`; did you mean `container.create`?",
        ),
        (
            "local allowed = {\n  ['image.pul'] = true, ['image.push'] = { ['a.b'] = 1 },\n  default = 1,\n}\n\
             x = allowed[req.action] or allowed.default",
            "2 `req.action` is never `image.pul`, a key of `allowed`; did you mean `image.push`?",
        ),
        (
            "local t = { write = function() if x then y['a.b'] = 2 elseif z then read = if a then 1 else 2 end end,\n\
             raed = 1 }\nx = t[req.effect]",
            "2 `req.effect` is never `raed`, a key of `t`; did you mean `read`?",
        ),
    ] {
        assert_eq!(found(source), [wrong], "{source}");
    }
}

#[test]
fn what_may_be_true_is_not_judged() {
    for source in [
        "x = req.action == 'container.create' or 'volume.update' == req.action",
        "x = req.action == 'system.options' and req.effect ~= 'unknown'",
        "x = req.action == nil or req.action == other",
        "x = req.action == 'container.' .. verb or 'create' .. x == req.action",
        "x = other.action == 'deny' or f(req).action == 'deny' or a.req.action == 'b'",
        "x = req.action:sub(1, 3) == 'con' or 'con' == req.action:sub(1, 3)",
        "-- req.action == 'x'\n--[[ req.action == 'x' ]] y = 'req.action == \"x\"'",
        "local action = req.action or 'none'\nx = action == 'none'",
        "local action = req.action\naction = 'x'\nx = action == 'x'",
        "local action = req.action\nfunction f(action) return action == 'x' end",
        "for _, action in list do x = action == 'x' end local action = req.action",
        "local action = req.action local action = cfg.action x = action == 'x'",
        "x = mount.via == 'HostConfig.Binds[0]' or mount.via == 'DriverOpts.device'",
        "x = mount.via == 'TaskTemplate.ContainerSpec.Mounts[1].Source' or mount.via == '[0]'",
        "x = mount.via == '[0].Value[1]' or mount.via == 'HostConfig.Devices[0].PathOnHost'",
        "local rules = { ['a.b'] = 1 } x = rules[req.id]",
        "rules['container.create'] = f x = rules[req.action] rules.default = f",
    ] {
        assert_eq!(found(source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn shipped_policies_are_clean() {
    for text in [
        include_str!("../../../../scripts/ops/authz.lua"),
        include_str!("../../../../scripts/readonly/authz.lua"),
    ] {
        assert_eq!(found(text), Vec::<String>::new());
    }
}
