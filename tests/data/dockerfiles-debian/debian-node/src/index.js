const { first } = require("./words.js");
console.log(`${first} from node`);
