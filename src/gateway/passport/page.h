// The passport of an answer as a page for people: one file of HTML without scripts or anything from elsewhere, fit for a screen and for paper.
#pragma once

#include <string>

#include "base/result.h"
#include "governance/passport/passport.h"

namespace stoa::gateway {

// `page_template`: share/passport.html, in the language of chat templates. `passport` is the text that `check` was made from. Whatever the record
// says stands in the page as text: it is escaped before the template sees it. Errors: those of ChatTemplate, naming the line.
Result<std::string> passport_page(const std::string& page_template, const governance::PassportCheck& check);

}  // namespace stoa::gateway
