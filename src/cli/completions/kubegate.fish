function __kubegate_complete
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    env KUBEGATE_COMPLETE=fish PROGRAM -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command kubegate --no-files --keep-order --arguments '(__kubegate_complete)'
