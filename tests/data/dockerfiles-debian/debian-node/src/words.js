module.exports = { first: "hello" };
