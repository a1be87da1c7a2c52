-- Neovim 0.11 or newer reads this with `:set exrc`. It needs luau-lsp on the PATH.
local here = vim.fs.dirname(debug.getinfo(1, "S").source:sub(2))

vim.filetype.add({ pattern = { [vim.pesc(here) .. "/.*%.lua"] = "luau" } })
vim.lsp.config("luau_lsp", {
  cmd = { "luau-lsp", "lsp", "--definitions:@moondock=" .. here .. "/.moondock/types/hooks.d.luau" },
  filetypes = { "luau" },
  root_dir = here,
  settings = { ["luau-lsp"] = { platform = { type = "standard" } } },
})
vim.lsp.enable("luau_lsp")
