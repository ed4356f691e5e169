"""wherry completion: scripts that let shells complete wherry's command lines. They ask `wherry __complete` at each Tab."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.errors import CliError
from wherry_cli.options import Values

# bash takes ":" and "=" for ends of words: what stands before the last of them is on the line already.
BASH = """\
# bash completion for wherry: source <(wherry completion bash)
_wherry() {
    local line=${COMP_LINE:0:COMP_POINT} words word before
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    before=${word%"${word##*[:=]}"}
    local IFS=$'\\n'
    COMPREPLY=($(wherry __complete "${words[@]:1}" 2>/dev/null | cut -f1))
    [[ ${COMPREPLY[0]-} == -*= && ${#COMPREPLY[@]} -eq 1 ]] && compopt -o nospace
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -o default -F _wherry wherry
"""

ZSH = """\
#compdef wherry
# zsh completion for wherry: wherry completion zsh >"${fpath[1]}/_wherry"
_wherry() {
    local line value text
    local -a values texts
    while IFS=$'\\t' read -r value text; do
        values+=("$value")
        texts+=("$value${text:+  -- $text}")
    done < <(wherry __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#values} )); then
        compadd -l -d texts -a values
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_wherry" ]; then
    _wherry "$@"
else
    compdef _wherry wherry
fi
"""

FISH = """\
# fish completion for wherry: wherry completion fish >~/.config/fish/completions/wherry.fish
function __wherry_complete
    set -l words (commandline -opc) (commandline -ct)
    wherry __complete $words[2..-1] 2>/dev/null
    or __fish_complete_path (commandline -ct)
end
complete -c wherry -f -a '(__wherry_complete)'
"""

SCRIPTS = {"bash": BASH, "fish": FISH, "zsh": ZSH}


def _completion(app: App, values: Values, arguments: list[str]) -> int:
    script = SCRIPTS.get(arguments[0])
    if script is None:
        raise CliError(f"there is no completion for {arguments[0]}: say bash, fish or zsh")
    app.write(script)
    return 0


COMPLETION = Command(
    "completion",
    "bash|fish|zsh",
    "Print a script that completes wherry's command lines in a shell; its first lines say where to put it.",
    _completion,
    least=1,
    most=1,
)
