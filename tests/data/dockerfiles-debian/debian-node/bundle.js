const fs = require("fs");
const path = require("path");

const text = fs.readFileSync(process.argv[2], "utf8");
const inline = (_, name) => "(() => { const module = {}; " +
  fs.readFileSync(path.join(path.dirname(process.argv[2]), name), "utf8").trim() + " return module.exports; })()";
process.stdout.write(text.replace(/require\("(\.[^"]+)"\)/g, inline));
