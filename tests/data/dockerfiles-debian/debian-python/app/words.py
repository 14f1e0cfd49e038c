FIRST = "hello"
