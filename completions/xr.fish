complete --keep-order --exclusive --command xr --arguments "(COMPLETE=fish xr -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
