#compdef kubegate
_kubegate() {
    local -a line candidates folders others
    local candidate
    # zsh itself knows what a tilde stands for.
    if [[ $PREFIX == '~'* ]]; then
        _files
        return
    fi
    line=("${(@Q)words}")
    line[CURRENT]=${(Q)PREFIX}
    candidates=("${(@f)$(KUBEGATE_COMPLETE=zsh KUBEGATE_COMPLETE_INDEX=$((CURRENT - 1)) \
        PROGRAM -- "${(@)line}" 2>/dev/null)}")
    for candidate in $candidates; do
        # A folder may be followed by what is in it.
        if [[ $candidate == */ ]]; then
            folders+=("$candidate")
        else
            others+=("$candidate")
        fi
    done
    (( $#folders )) && _describe -V 'values' folders -S ''
    (( $#others )) && _describe -V 'values' others
}
# A file of fpath is run at the first completion.
if [[ ${funcstack[1]} == _kubegate ]]; then
    _kubegate "$@"
else
    compdef _kubegate kubegate
fi
