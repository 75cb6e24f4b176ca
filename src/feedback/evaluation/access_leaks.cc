#include "feedback/evaluation/access_leaks.h"

#include <algorithm>
#include <cmath>

namespace stoa::feedback {
namespace {

constexpr std::size_t kUsers = 12, kGroups = 6, kLists = 24, kFound = 10, kMaxLeaks = 100;

std::string user_name(std::size_t i) { return fmt::format("user{:02}", i); }
std::string group_name(std::size_t i) { return fmt::format("group{}", i); }

std::string mode_name(data::SearchMode mode) { return mode == data::SearchMode::kText ? "text" : mode == data::SearchMode::kVector ? "vector" : "hybrid"; }

// Public, nobody (readers unknown), users, groups, users and groups, or names that nobody has.
AccessList random_list(Dice& dice) {
  AccessList list;
  const std::size_t kind = dice.below(8);
  if (kind == 0) return {.is_public = true};
  if (kind == 1) return {};
  const auto pick = [&](std::vector<std::string>& into, std::size_t most, std::size_t of, auto name) {
    for (std::size_t n = 1 + dice.below(most); n > 0; --n) into.push_back(name(dice.below(of)));
    std::ranges::sort(into);
    into.erase(std::ranges::unique(into).begin(), into.end());
  };
  if (kind == 2) pick(list.users, 2, 3, [](std::size_t i) { return fmt::format("stranger{}", i); });
  if (kind == 3 || kind == 4 || kind == 7) pick(list.users, 3, kUsers, user_name);
  if (kind == 5 || kind == 6 || kind == 7) pick(list.groups, 2, kGroups, group_name);
  return list;
}

Principal random_principal(Dice& dice, const Principal& like) {
  Principal made = like;
  made.user = dice.chance(0.9) ? user_name(dice.below(kUsers)) : "";  // a service account has none
  made.id = "user_" + (made.user.empty() ? "service" : made.user);
  made.groups.clear();
  for (std::size_t i = 0; i < kGroups; ++i)
    if (dice.chance(0.25)) made.groups.push_back(group_name(i));
  if (dice.chance(0.05)) made.project += "-other";  // of another project: finds nothing, not even the collection
  return made;
}

std::string described(const Principal& principal) { return fmt::format("{} [{}]", principal.user.empty() ? "service account" : principal.user, fmt::join(principal.groups, ", ")); }

class AccessMeasure {
 public:
  AccessMeasure(const Call& call, const QuestionSet& set, const Principal& like, const AccessFunctions& functions, const AccessOptions& options, const EvaluationProgress& progress)
      : call_(call), set_(set), like_(like), functions_(functions), options_(options), progress_(progress), dice_(options.seed) {
    for (std::size_t i = 0; i < set.paragraphs.size(); ++i) by_id_[set.paragraphs[i].id] = i;
  }

  Result<AccessResult> run() {
    STOA_TRY(collection, functions_.new_collection());
    const std::size_t rounds = std::clamp<std::size_t>(options_.rounds, 1, std::max<std::size_t>(1, options_.triples));
    for (std::size_t round = 0; round < rounds; ++round) {
      STOA_CHECK(assign(collection));
      const std::size_t until = options_.triples * (round + 1) / rounds;
      while (result_.triples < until) STOA_CHECK(try_triple(collection));
      for (std::size_t twin = options_.twins * round / rounds; twin < options_.twins * (round + 1) / rounds; ++twin) STOA_CHECK(compare_twin(collection));
    }
    STOA_CHECK(functions_.remove_collection(collection));
    return std::move(result_);
  }

 private:
  using Groups = std::map<std::string, std::vector<std::size_t>>;  // documents by their list's key

  Status write(const std::string& collection, const Groups& groups) {
    for (const auto& [key, documents] : groups) {
      STOA_CHECK(check_goes_on(call_, result_.triples, options_.triples));
      STOA_CHECK(functions_.set_readers(collection, documents, readers_[documents.front()]));
    }
    return {};
  }

  Status assign(const std::string& collection) {
    std::vector<AccessList> lists;
    for (std::size_t i = 0; i < kLists; ++i) lists.push_back(random_list(dice_));
    readers_.clear();
    Groups groups;
    for (std::size_t i = 0; i < set_.paragraphs.size(); ++i) {
      readers_.push_back(lists[dice_.below(lists.size())]);
      groups[readers_.back().key()].push_back(i);
    }
    return write(collection, groups);
  }

  bool readable(const AccessList& readers, const Principal& principal) const { return principal.project == like_.project && plainly_readable(readers, principal); }

  Result<std::vector<FoundItem>> search(const std::string& collection, const Principal& principal, const std::string& query, data::SearchMode mode) {
    auto found = functions_.search(collection, principal, query, mode, kFound);
    if (!found && found.error().code == ErrorCode::kNotFound && principal.project != like_.project) return std::vector<FoundItem>();
    return found;
  }

  const std::string& random_query() { return set_.questions[dice_.below(set_.questions.size())].text; }

  Status try_triple(const std::string& collection) {
    STOA_CHECK(check_goes_on(call_, result_.triples, options_.triples));
    const Principal principal = random_principal(dice_, like_);
    const std::string& query = random_query();
    bool leaked = false;
    for (const data::SearchMode mode : options_.modes) {
      STOA_TRY(found, search(collection, principal, query, mode));
      ++result_.searches;
      for (const FoundItem& item : found) {
        ++result_.passages;
        const auto at = by_id_.find(item.id);
        if (at != by_id_.end() && readable(readers_[at->second], principal)) continue;
        leaked = true;
        ++result_.leaked_passages;
        if (result_.leaks.size() < kMaxLeaks) result_.leaks.push_back({query, described(principal), item.id, at == by_id_.end() ? "not of the collection" : readers_[at->second].key(), mode_name(mode)});
      }
    }
    const auto visible = static_cast<std::size_t>(std::ranges::count_if(readers_, [&](const AccessList& list) { return readable(list, principal); }));
    result_.visible += visible;
    result_.invisible += readers_.size() - visible;
    result_.leaking_triples += leaked;
    ++result_.triples;
    if (progress_) progress_(result_.triples, options_.triples);
    return {};
  }

  Status compare_twin(const std::string& collection) {
    const Principal principal = random_principal(dice_, like_);
    Groups groups;
    for (std::size_t i = 0; i < readers_.size(); ++i)
      if (readable(readers_[i], principal)) groups[readers_[i].key()].push_back(i);
    STOA_TRY(twin, functions_.new_collection());
    STOA_CHECK(write(twin, groups));
    for (std::size_t i = 0; i < options_.twin_queries; ++i) {
      const std::string& query = random_query();
      for (const data::SearchMode mode : options_.modes) {
        STOA_TRY(here, search(collection, principal, query, mode));
        STOA_TRY(there, search(twin, principal, query, mode));
        ++result_.twin_searches;
        if (same(std::move(here), std::move(there))) continue;
        ++result_.twin_differences;
        if (result_.leaks.size() < kMaxLeaks) result_.leaks.push_back({query, described(principal), "another result than if the other documents did not exist", "", mode_name(mode)});
      }
    }
    return functions_.remove_collection(twin);
  }

  // The same passages with the same scores. Equal scores stand in the order in which documents were brought in, which is another in the twin: order among them does not count.
  static bool same(std::vector<FoundItem> a, std::vector<FoundItem> b) {
    if (a.size() != b.size()) return false;
    const auto order = [](const FoundItem& x, const FoundItem& y) { return x.score != y.score ? x.score > y.score : std::tie(x.id, x.excerpt) < std::tie(y.id, y.excerpt); };
    std::ranges::sort(a, order);
    std::ranges::sort(b, order);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const bool at_the_end = a[i].score == a.back().score;  // which of the equal ones at the end are cut off is open
      if (std::abs(a[i].score - b[i].score) > 1e-9 || (!at_the_end && (a[i].id != b[i].id || a[i].excerpt != b[i].excerpt))) return false;
    }
    return true;
  }

  const Call& call_;
  const QuestionSet& set_;
  const Principal& like_;
  const AccessFunctions& functions_;
  const AccessOptions& options_;
  const EvaluationProgress& progress_;
  Dice dice_;
  std::map<std::string, std::size_t> by_id_;
  std::vector<AccessList> readers_;  // of each document
  AccessResult result_;
};

}  // namespace

bool plainly_readable(const AccessList& readers, const Principal& principal) {
  if (readers.is_public) return true;
  for (const std::string& user : readers.users)
    if (!principal.user.empty() && user == principal.user) return true;
  for (const std::string& group : readers.groups)
    for (const std::string& own : principal.groups)
      if (group == own) return true;
  return false;
}

EvaluationRun AccessResult::to_run() const {
  EvaluationRun run;
  run.name = "access";
  const auto add = [&](const char* name, double value, const char* about) { run.metrics.push_back({name, value, about}); };
  const auto documents = static_cast<double>(std::max<std::size_t>(1, visible + invisible));
  add("leak_rate", leak_rate(), "triples of principal, access list and query that showed a passage they must not");
  add("leaked_passages", static_cast<double>(leaked_passages), "passages that were shown and must not be");
  add("triples", static_cast<double>(triples), "principals with queries, each in every mode");
  add("searches", static_cast<double>(searches), "made for them");
  add("passages", static_cast<double>(passages), "shown, each checked against the plain rule");
  add("readable_share", static_cast<double>(visible) / documents, "of the documents, that a principal may read on average");
  add("twin_searches", static_cast<double>(twin_searches), "compared with a collection that holds only what the principal may read");
  add("twin_differences", static_cast<double>(twin_differences), "of them, that found something else");
  for (const AccessLeak& leak : leaks) {
    QuestionOutcome outcome;
    outcome.id = leak.mode;
    outcome.question = leak.query;
    outcome.problem = fmt::format("{}: {} was shown to {}, readers are {}", leak.mode, leak.paragraph, leak.principal, leak.readers.empty() ? "-" : leak.readers);
    run.questions.push_back(std::move(outcome));
  }
  return run;
}

Result<AccessResult> measure_access(const Call& call, const QuestionSet& set, const Principal& like, const AccessFunctions& functions, const AccessOptions& options, const EvaluationProgress& progress) {
  if (set.questions.empty() || set.paragraphs.empty()) return fail(ErrorCode::kInvalidArgument, "{}: no question to ask", set.name);
  return AccessMeasure(call, set, like, functions, options, progress).run();
}

}  // namespace stoa::feedback
