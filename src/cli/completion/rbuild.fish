complete -c rbuild -f -a '(rbuild __complete -- (commandline -opc) (commandline -ct) 2>/dev/null)'
