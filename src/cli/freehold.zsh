#compdef freehold
# SPDX-License-Identifier: Apache-2.0
# Completion of freehold in zsh. The command itself knows what may stand where: freehold complete.
_freehold()
{
    local word
    local -a found
    while IFS= read -r word; do
        case $word in
            @files) _files ;;
            @folders) _files -/ ;;
            *) found+=("$word") ;;
        esac
    done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#found )) && compadd -a found
}
_freehold "$@"
