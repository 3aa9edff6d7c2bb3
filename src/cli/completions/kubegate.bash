_kubegate() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(KUBEGATE_COMPLETE=bash KUBEGATE_COMPLETE_BREAKS="$COMP_WORDBREAKS" \
        PROGRAM -- "${COMP_LINE:0:COMP_POINT}" "$COMP_LINE" 2>/dev/null)
    # A folder may be followed by what is in it.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
# Bash before 4.4 cannot leave the order as it is.
complete -o nosort -F _kubegate kubegate 2>/dev/null || complete -F _kubegate kubegate
