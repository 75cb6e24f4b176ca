#include "feedback/evaluation/charts.h"

#include <algorithm>
#include <cmath>

namespace stoa::feedback {
namespace {

constexpr double kLeft = 62, kRight = 628, kTop = 12, kBottom = 222;
constexpr double kWidth = kRight - kLeft, kHeight = kBottom - kTop;
constexpr std::size_t kColours = 6;        // that the page has
constexpr std::size_t kCurvePoints = 60;

std::string number(double value) { return fmt::format("{:.1f}", value); }
std::string share(double value) { return fmt::format("{:.3f}", value); }

double y_of(double part) { return kBottom - std::clamp(part, 0.0, 1.0) * kHeight; }

JsonObject frame(const ChartText& text, std::string_view kind, double height = 260) {
  return {{"title", text.title}, {"about", text.about}, {"kind", kind}, {"height", number(height)}, {"left", number(kLeft)}, {"right", number(kRight)}, {"top", number(kTop)}, {"bottom", number(kBottom)},
          {"x_ticks", JsonArray()}, {"y_ticks", JsonArray()}, {"lines", JsonArray()}, {"bars", JsonArray()}, {"legend", JsonArray()}, {"head", JsonArray()}, {"rows", JsonArray()}};
}

void add_shares_axis(JsonObject& chart) {
  for (const double part : {0.0, 0.25, 0.5, 0.75, 1.0}) chart["y_ticks"].as_array().push_back(JsonObject{{"y", number(y_of(part))}, {"label", fmt::format("{:.0f} %", part * 100)}});
}

void add_legend(JsonObject& chart, const std::vector<ChartSeries>& series, std::string_view first_column) {
  chart["head"].as_array().push_back(Json(first_column));
  for (std::size_t i = 0; i < series.size(); ++i) {
    chart["legend"].as_array().push_back(JsonObject{{"colour", i % kColours}, {"name", series[i].name}, {"x", number(kLeft + 150 * static_cast<double>(i % 4))}});
    chart["head"].as_array().push_back(Json(series[i].name));
  }
}

void add_rows(JsonObject& chart, const std::vector<std::string>& categories, const std::vector<ChartSeries>& series, std::string (*shown)(double)) {
  for (std::size_t c = 0; c < categories.size(); ++c) {
    JsonArray row{Json(categories[c])};
    for (const ChartSeries& one : series) row.push_back(Json(c < one.values.size() ? shown(one.values[c]) : ""));
    chart["rows"].as_array().push_back(std::move(row));
  }
}

double x_of_category(std::size_t index, std::size_t count) { return kLeft + kWidth * (static_cast<double>(index) + 0.5) / static_cast<double>(count); }

}  // namespace

Json line_chart(const ChartText& text, const std::vector<std::string>& categories, const std::vector<ChartSeries>& series) {
  JsonObject chart = frame(text, "lines");
  add_shares_axis(chart);
  add_legend(chart, series, "");
  add_rows(chart, categories, series, share);
  for (std::size_t c = 0; c < categories.size(); ++c) chart["x_ticks"].as_array().push_back(JsonObject{{"x", number(x_of_category(c, categories.size()))}, {"label", categories[c]}});
  for (std::size_t s = 0; s < series.size(); ++s) {
    std::string points;
    JsonArray dots;
    for (std::size_t c = 0; c < std::min(categories.size(), series[s].values.size()); ++c) {
      const std::string x = number(x_of_category(c, categories.size())), y = number(y_of(series[s].values[c]));
      points += fmt::format("{},{} ", x, y);
      dots.push_back(JsonObject{{"x", x}, {"y", y}, {"text", fmt::format("{}, {}: {}", series[s].name, categories[c], share(series[s].values[c]))}});
    }
    chart["lines"].as_array().push_back(JsonObject{{"colour", s % kColours}, {"points", points}, {"dots", std::move(dots)}});
  }
  return chart;
}

Json bar_chart(const ChartText& text, const std::vector<std::string>& categories, const std::vector<ChartSeries>& series) {
  JsonObject chart = frame(text, "bars");
  double most = 1;
  for (const ChartSeries& one : series)
    for (const double value : one.values) most = std::max(most, value);
  for (const double part : {0.0, 0.5, 1.0}) chart["y_ticks"].as_array().push_back(JsonObject{{"y", number(y_of(part))}, {"label", fmt::format("{:.0f}", part * most)}});
  add_legend(chart, series, "");
  add_rows(chart, categories, series, [](double value) { return fmt::format("{:.0f}", value); });
  const double room = kWidth / static_cast<double>(categories.size()), width = room * 0.8 / static_cast<double>(std::max<std::size_t>(1, series.size()));
  for (std::size_t c = 0; c < categories.size(); ++c) {
    chart["x_ticks"].as_array().push_back(JsonObject{{"x", number(x_of_category(c, categories.size()))}, {"label", categories[c]}});
    for (std::size_t s = 0; s < series.size(); ++s) {
      const double value = c < series[s].values.size() ? series[s].values[c] : 0, y = y_of(value / most);
      chart["bars"].as_array().push_back(JsonObject{{"colour", s % kColours}, {"x", number(kLeft + room * (static_cast<double>(c) + 0.1) + width * static_cast<double>(s))}, {"y", number(y)}, {"width", number(width)},
                                                    {"height", number(kBottom - y)}, {"text", fmt::format("{}, {}: {:.0f}", series[s].name, categories[c], value)}});
    }
  }
  return chart;
}

Json distribution_chart(const ChartText& text, const std::vector<ChartSeries>& series) {
  double least = 1e300, most = 0;
  std::vector<ChartSeries> sorted = series;
  for (ChartSeries& one : sorted) {
    std::erase_if(one.values, [](double value) { return value <= 0; });
    std::ranges::sort(one.values);
    if (one.values.empty()) continue;
    least = std::min(least, one.values.front());
    most = std::max(most, one.values.back());
  }
  if (most == 0) return nullptr;
  const double from = std::log10(least) - 0.02, to = std::max(from + 0.1, std::log10(most) + 0.02);
  const auto x_of = [&](double value) { return kLeft + kWidth * (std::log10(value) - from) / (to - from); };
  JsonObject chart = frame(text, "lines");
  add_shares_axis(chart);
  add_legend(chart, sorted, "within");
  const bool few = to - from < 2;
  for (double decade = std::floor(from); decade <= to; ++decade) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double value = step * std::pow(10, decade), at = std::log10(value);
      if (at >= from && at <= to && (few || step == 1)) chart["x_ticks"].as_array().push_back(JsonObject{{"x", number(x_of(value))}, {"label", fmt::format("{:g} ms", value)}});
    }
  }
  for (std::size_t s = 0; s < sorted.size(); ++s) {
    std::string points;
    JsonArray dots;
    for (std::size_t i = 0; i <= kCurvePoints && !sorted[s].values.empty(); ++i) {
      const double part = std::max(static_cast<double>(i) / kCurvePoints, 1e-9);
      points += fmt::format("{},{} ", number(x_of(percentile(sorted[s].values, part))), number(y_of(static_cast<double>(i) / kCurvePoints)));
    }
    for (const double part : {0.5, 0.95, 0.99}) {
      if (sorted[s].values.empty()) break;
      const double value = percentile(sorted[s].values, part);
      dots.push_back(JsonObject{{"x", number(x_of(value))}, {"y", number(y_of(part))}, {"text", fmt::format("{}: {:.0f} % within {:.2f} ms", sorted[s].name, part * 100, value)}});
    }
    chart["lines"].as_array().push_back(JsonObject{{"colour", s % kColours}, {"points", points}, {"dots", std::move(dots)}});
  }
  for (const double part : {0.5, 0.9, 0.95, 0.99, 1.0}) {
    JsonArray row{Json(fmt::format("{:.0f} % within", part * 100))};
    for (const ChartSeries& one : sorted) row.push_back(Json(fmt::format("{:.2f} ms", percentile(one.values, part))));
    chart["rows"].as_array().push_back(std::move(row));
  }
  return chart;
}

Json interval_chart(const ChartText& text, const std::vector<ChartInterval>& intervals) {
  if (intervals.empty()) return nullptr;
  constexpr double kNames = 170, kRow = 30;
  double most = 1e-6;
  for (const ChartInterval& one : intervals) most = std::max({most, std::abs(one.low), std::abs(one.high)});
  const double middle = (kNames + kRight) / 2, scale = (kRight - kNames) / 2 / most;
  const double bottom = kTop + kRow * static_cast<double>(intervals.size());
  JsonObject chart = frame(text, "intervals", bottom + 38);
  chart["bottom"] = number(bottom);
  chart["zero"] = number(middle);
  for (const double part : {-1.0, -0.5, 0.0, 0.5, 1.0}) chart["x_ticks"].as_array().push_back(JsonObject{{"x", number(middle + part * most * scale * 0.94)}, {"label", part == 0 ? "0" : fmt::format("{:+.3f}", part * most * 0.94)}});
  chart["head"] = JsonArray{Json("metric"), Json("low"), Json("B − A"), Json("high")};
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    const ChartInterval& one = intervals[i];
    const bool sure = one.low > 0 || one.high < 0;
    chart["bars"].as_array().push_back(JsonObject{{"name", one.name}, {"y", number(kTop + kRow * (static_cast<double>(i) + 0.5))}, {"low", number(middle + one.low * scale)}, {"middle", number(middle + one.middle * scale)},
                                                  {"high", number(middle + one.high * scale)}, {"colour", !sure ? "unsure" : one.middle > 0 ? "up" : "down"},
                                                  {"text", fmt::format("{}: {:+.4f}, 95 % within {:+.4f} and {:+.4f}", one.name, one.middle, one.low, one.high)}});
    chart["rows"].as_array().push_back(JsonArray{Json(one.name), Json(fmt::format("{:+.4f}", one.low)), Json(fmt::format("{:+.4f}", one.middle)), Json(fmt::format("{:+.4f}", one.high))});
  }
  return chart;
}

Json confusion_chart(const ChartText& text, const AnswerConfusion& confusion) {
  constexpr double kFirst = 150, kCell = 235, kRowHeight = 76;
  const double all = static_cast<double>(std::max<std::size_t>(1, confusion.total()));
  JsonObject chart = frame(text, "cells", 200);
  struct Cell {
    std::size_t count;
    int row, column;
    const char *of, *what;
    bool good;
  };
  for (const Cell& cell : {Cell{confusion.answerable_answered, 0, 0, "answerable", "answered", true}, {confusion.answerable_refused, 0, 1, "answerable", "refused", false},
                           {confusion.unanswerable_answered, 1, 0, "unanswerable", "answered", false}, {confusion.unanswerable_refused, 1, 1, "unanswerable", "refused", true}}) {
    const double part = static_cast<double>(cell.count) / all;
    chart["bars"].as_array().push_back(JsonObject{{"x", number(kFirst + kCell * cell.column)}, {"y", number(34 + kRowHeight * cell.row)}, {"width", number(kCell - 6)}, {"height", number(kRowHeight - 6)},
                                                  {"middle_x", number(kFirst + kCell * cell.column + kCell / 2 - 3)}, {"middle_y", number(34 + kRowHeight * cell.row + kRowHeight / 2 + 4)},
                                                  {"strength", fmt::format("{:.2f}", 0.12 + 0.5 * part)}, {"colour", cell.good ? "up" : "down"}, {"count", std::to_string(cell.count)}, {"share", fmt::format("{:.1f} %", part * 100)},
                                                  {"text", fmt::format("{}, {}: {}", cell.of, cell.what, cell.count)}});
  }
  chart["head"] = JsonArray{Json(""), Json("answered"), Json("refused")};
  chart["rows"] = JsonArray{JsonArray{Json("answerable"), Json(std::to_string(confusion.answerable_answered)), Json(std::to_string(confusion.answerable_refused))},
                            JsonArray{Json("unanswerable"), Json(std::to_string(confusion.unanswerable_answered)), Json(std::to_string(confusion.unanswerable_refused))}};
  return chart;
}

}  // namespace stoa::feedback
