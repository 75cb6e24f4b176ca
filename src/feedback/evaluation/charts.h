// Plots as numbers: where lines, bars and labels stand in a picture of 640 x 260, for share/evaluation.html to draw as SVG. Every plot brings its values as a table, for
// those who do not see it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "feedback/evaluation/metrics.h"

namespace stoa::feedback {

struct ChartSeries {
  std::string name;
  std::vector<double> values;
};

struct ChartText {
  std::string title, about;
};

// One line a series over evenly placed categories; values from 0 to 1.
Json line_chart(const ChartText& text, const std::vector<std::string>& categories, const std::vector<ChartSeries>& series);
// Bars of counts side by side; the axis ends at the largest.
Json bar_chart(const ChartText& text, const std::vector<std::string>& categories, const std::vector<ChartSeries>& series);
// For each series of times in ms, in any order: the share of them that is not above a time, over a logarithmic axis. Null where there are none.
Json distribution_chart(const ChartText& text, const std::vector<ChartSeries>& series);

struct ChartInterval {
  std::string name;
  double low = 0, middle = 0, high = 0;
};
// One row an interval, around a line at 0. Null where there are none.
Json interval_chart(const ChartText& text, const std::vector<ChartInterval>& intervals);
// Four cells, darker for more.
Json confusion_chart(const ChartText& text, const AnswerConfusion& confusion);

}  // namespace stoa::feedback
