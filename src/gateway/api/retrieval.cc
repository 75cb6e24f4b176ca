#include "gateway/api/retrieval.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "base/id.h"

namespace stoa::gateway {

Result<data::Findings> retrieve(RequestScope& scope, data::Retriever& retriever, const SearchOrder& order) {
  auto findings = retriever.retrieve(scope.call(), order.collections, order.query, order.options);
  std::vector<std::string> collections;  // whatever else a caller writes there, a key pasted by mistake for one, is not for the log
  std::ranges::copy_if(order.collections, std::back_inserter(collections), [](const std::string& id) { return is_id(id, "vs"); });
  SearchNote note{.query = order.query, .mode = data::search_mode_name(order.options.mode), .collections = collections};
  if (!findings) {
    for (const std::string& other : order.options.queries) note.query += "\n" + other;
    note.refused = &findings.error();
    STOA_CHECK(scope.record_search(note));
    return findings;
  }
  for (std::size_t i = 1; i < findings->asked; ++i) note.query += "\n" + findings->queries[i];
  if (findings->rewriting) STOA_CHECK(scope.charge({.target = retriever.rewriter()->model(), .what = "rewrite", .usage = findings->rewriting->usage}));
  std::vector<Passage> shown;
  for (const data::Found& one : findings->found) shown.push_back(one.passage);
  note.passages = shown;
  STOA_CHECK(scope.record_search(note));
  return findings;
}

Result<PaidSearch> search_and_settle(RequestScope& scope, data::Retriever& retriever, const std::string& model, const SearchOrder& order) {
  Usage estimate;
  std::vector<std::string> targets;
  if (const data::QueryRewriter* rewriter = retriever.rewriter(); rewriter != nullptr && order.options.rewrite > 0) {
    STOA_CHECK(scope.allow(governance::Action::kModelUse, governance::Resource::of(scope.principal(), "model", rewriter->model())));
    estimate = rewriter->estimate(order.query, order.options.rewrite);
    targets = {rewriter->model()};
  }
  STOA_CHECK(scope.reserve("search", model, estimate, targets));
  const auto begin = std::chrono::steady_clock::now();
  STOA_TRY(findings, retrieve(scope, retriever, order));
  Usage usage;
  usage.compute_micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count() - findings.rewriting_micros;
  STOA_CHECK(scope.settle(usage));
  return PaidSearch{std::move(findings), usage.compute_micros};
}

}  // namespace stoa::gateway
