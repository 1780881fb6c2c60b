# SPDX-License-Identifier: Apache-2.0
# Completion of freehold in bash. The command itself knows what may stand where: freehold complete.
_freehold()
{
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        case $word in
            @files) compopt -o default ;;
            @folders) compopt -o dirnames ;;
            *) COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _freehold freehold
