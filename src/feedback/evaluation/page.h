// Reports and comparisons as a page for people: one file of HTML that asks nothing of anywhere, without scripts, for light and dark, screen and paper.
#pragma once

#include <string>

#include "base/result.h"
#include "feedback/evaluation/compare.h"
#include "feedback/evaluation/report.h"

namespace stoa::feedback {

// `page_template`: share/evaluation.html, in the language of chat templates. Whatever a report says stands in the page as text: it is escaped before the template sees it. At
// most 50 questions of a run are shown. Errors: those of ChatTemplate, naming the line.
Result<std::string> report_page(const std::string& page_template, const EvaluationReport& report);
Result<std::string> comparison_page(const std::string& page_template, const Comparison& comparison);

}  // namespace stoa::feedback
