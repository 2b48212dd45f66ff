_rbuild() {
    mapfile -t COMPREPLY < <(rbuild __complete --line "${COMP_LINE:0:COMP_POINT}" --breaks "$COMP_WORDBREAKS" 2>/dev/null)
    # what goes on has no space behind it
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/,] ]]; then
        compopt -o nospace
    fi
}
complete -o bashdefault -o default -F _rbuild rbuild
