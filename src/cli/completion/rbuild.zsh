#compdef rbuild
_rbuild() {
    local line value
    local -a values shown goes_on
    for line in "${(@f)$(rbuild __complete -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        if [[ $value == *[=/,] ]]; then
            goes_on+=("$value")
        else
            values+=("$value")
            [[ $line == *$'\t'* ]] && shown+=("$value  ${line#*$'\t'}") || shown+=("$value")
        fi
    done
    # what goes on has no space behind it
    compadd -S '' -a goes_on
    compadd -l -d shown -a values
}
if [[ $funcstack[1] == _rbuild ]]; then
    _rbuild "$@"
else
    compdef _rbuild rbuild
fi
