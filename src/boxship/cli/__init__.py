"""The command line: `boxship`.

    launch      what the wrapper executes: finds the package, leaves by os._exit
    main        root options, then the command that the words name
    index       which module a command's words name; a folder is a management command
    command     Command and Flag: a command as data
    parse       words to values by a command's flags; help and completion read the same data
    shell       what a command is given: engine, output, configuration, terminal
    <group>/    one file per command

A command's module holds COMMAND and `run(shell, words, **flags) -> exit code`.
"""
