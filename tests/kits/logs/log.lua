local logs = require("@moondock/logs")

return logs.file_driver({ root = "/logs" })
