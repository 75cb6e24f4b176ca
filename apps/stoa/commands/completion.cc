#include "commands/completion.h"

namespace stoa::cli {
namespace {

constexpr std::string_view kBash = R"sh(_stoa() {
  local word=${COMP_WORDS[COMP_CWORD]}
  local before=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
  mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --complete "${before[@]}" 2>/dev/null)" -- "$word")
}
complete -o default -F _stoa stoa
)sh";

constexpr std::string_view kZsh = R"sh(#compdef stoa
_stoa() {
  local -a found
  found=("${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
  compadd -a found
  _files
}
compdef _stoa stoa
)sh";

}  // namespace

std::string_view completion_script(std::string_view shell) { return shell == "zsh" ? kZsh : kBash; }

}  // namespace stoa::cli
