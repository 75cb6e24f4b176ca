#include "models/constrain/matcher.h"

#include <algorithm>
#include <deque>

#include "models/constrain/mask_cache.h"
#include "models/constrain/trie_walk.h"

namespace stoa::models {

using constrain::Automaton;
using constrain::Configuration;
using constrain::kNoState;
using constrain::Position;
using constrain::StackId;
using constrain::StackPool;
using constrain::TrieWalk;

namespace {

// What one mask may cost, in steps of TrieWalk (some 5 ns each), before it is left incomplete: only grammars ambiguous in hundreds of
// ways come near it, and a model's next step must not wait for them.
constexpr std::uint64_t kMaskWork = 8'000'000;

void set_bit(std::span<std::uint64_t> mask, TokenId token) {
  const auto t = static_cast<std::size_t>(token);
  mask[t / 64] |= std::uint64_t{1} << (t % 64);
}

}  // namespace

Constraint::Constraint(Grammar grammar, std::shared_ptr<const TokenTrie> trie, std::size_t cache_bytes)
    : grammar_(std::move(grammar)), trie_(std::move(trie)), cache_(std::make_unique<constrain::MaskCache>(grammar_.automaton(), *trie_, cache_bytes)) {}
Constraint::~Constraint() = default;
std::size_t Constraint::cached_bytes() const { return cache_->bytes(); }

struct GrammarMatcher::State {
  // What a token can be taken back to.
  struct Moment {
    std::vector<Configuration> alive;
    bool complete = false;
    bool ended = false;
  };

  explicit State(const Constraint& constraint) : automaton(constraint.grammar().automaton()), trie(constraint.trie()), walk(automaton, stacks, trie) {
    walk.stepper().arrive({automaton.start, constrain::kBottom}, position);
  }

  Moment moment() const { return {position.alive, position.complete, ended}; }

  // Remembers the present for rollback(), before it changes.
  void remember() {
    if (history.size() == kMaxRollback) history.pop_front();
    history.push_back(moment());
  }

  // The position after `bytes`, in `ahead`. False when they do not fit.
  bool look(std::string_view bytes) {
    const Position* from = &position;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      Position& to = i % 2 == 0 ? other : ahead;
      walk.stepper().step(*from, static_cast<std::uint8_t>(bytes[i]), to);
      if (to.alive.empty() && !(to.complete && i + 1 == bytes.size())) return false;
      from = &to;
    }
    if (from == &other) std::swap(other, ahead);
    return true;
  }

  bool advance(std::string_view bytes) {
    if (ended || bytes.empty()) return false;
    const std::size_t mark = stacks.size();
    if (!look(bytes)) {
      stacks.forget(mark);
      return false;
    }
    remember();
    std::swap(position, ahead);
    tidy();
    return true;
  }

  // Drops stacks that nothing refers to any more, once they are the larger part.
  void tidy() {
    if (stacks.size() < keep) return;
    std::vector<StackId*> live;
    for (Configuration& configuration : position.alive) live.push_back(&configuration.stack);
    for (Moment& past : history)
      for (Configuration& configuration : past.alive) live.push_back(&configuration.stack);
    stacks.compact(live);
    keep = 2 * stacks.size() + 1024;
  }

  // Adds the tokens that leave the rule on top of `stack` on their way.
  void add_after(const constrain::MaskEntry& entry, StackId stack, std::uint32_t least, std::uint32_t most, std::span<std::uint64_t> bits) {
    const auto nodes = trie.nodes();
    const auto order = trie.order();
    const auto add = [&](std::uint32_t node) {
      for (std::uint32_t i = nodes[node].first; i < nodes[node + 1].first; ++i) set_bit(bits, order[i]);
    };
    other.clear();
    walk.stepper().behind(stack, other);
    for (std::uint32_t c = 0; c < automaton.classes; ++c) {
      if (walk.exhausted()) return;
      const auto reads = [&](const Configuration& next) { return automaton.table[std::size_t{next.state} * automaton.classes + c] != kNoState; };
      if (std::ranges::none_of(other.alive, reads)) continue;
      walk.stepper().step(other, automaton.class_byte[c], walk.start());
      walk.begin();
      for (unsigned byte = automaton.class_byte[c], end = byte + automaton.class_size[c]; byte < end; ++byte)
        for (const constrain::Escape& escape : entry.escapes_before(static_cast<std::uint8_t>(byte), least, most)) {
          if (walk.exhausted()) return;
          add(escape.node);
          walk.run(escape.node, [&](std::uint32_t node, const TrieWalk::Level&) { add(node); });
        }
    }
  }

  const Automaton& automaton;
  const TokenTrie& trie;
  StackPool stacks;
  Position position;
  bool ended = false;
  std::deque<Moment> history;
  std::size_t keep = 1024;
  Position other, ahead;  // scratch
  TrieWalk walk;          // scratch, and the steps
};

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Constraint> constraint) : constraint_(std::move(constraint)), state_(std::make_unique<State>(*constraint_)) {}
GrammarMatcher::GrammarMatcher(const GrammarMatcher& other) : GrammarMatcher(other.constraint_) {
  state_->stacks = other.state_->stacks;
  state_->position = other.state_->position;
  state_->ended = other.state_->ended;
  state_->history = other.state_->history;
  state_->keep = other.state_->keep;
}
GrammarMatcher& GrammarMatcher::operator=(const GrammarMatcher& other) {
  if (this != &other) *this = GrammarMatcher(other);
  return *this;
}
GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&&) noexcept = default;
GrammarMatcher::~GrammarMatcher() = default;

bool GrammarMatcher::mask(std::span<std::uint64_t> bits) {
  std::ranges::fill(bits, 0);
  if (state_->ended) return false;
  const Automaton& automaton = constraint_->grammar().automaton();
  const std::size_t mark = state_->stacks.size();
  std::uint64_t work = kMaskWork;
  state_->walk.allow(kMaskWork / 8);
  for (const Configuration& at : state_->position.alive) {
    const constrain::Frame frame = state_->stacks[at.stack];
    const bool counted = at.stack != constrain::kBottom && (frame.target & constrain::kCounterBit);
    const constrain::Counter* counter = counted ? &automaton.counters[frame.target & ~constrain::kCounterBit] : nullptr;
    const auto entry = constraint_->cache_->find(at.state, counted ? counter->body : kNoState, work);
    if (entry == nullptr) continue;
    const std::uint32_t most = !counted || counter->max == kNoState ? kNoState - 1 : counter->max - frame.rounds;
    const std::uint32_t least = counted && counter->min > frame.rounds ? counter->min - frame.rounds : 0;
    entry->add_to(bits, most);
    if (!entry->escapes.empty() && at.stack != constrain::kBottom && !state_->walk.exhausted()) state_->add_after(*entry, at.stack, least, most, bits);
  }
  state_->stacks.forget(mark);
  const TokenTrie& trie = constraint_->trie();
  if (state_->position.complete)
    for (const TokenId end : trie.end_tokens()) set_bit(bits, end);
  return std::ranges::any_of(bits, [](std::uint64_t word) { return word != 0; });
}

bool GrammarMatcher::allows(TokenId token) {
  const TokenTrie& trie = constraint_->trie();
  if (state_->ended) return false;
  if (trie.is_end(token)) return state_->position.complete;
  const std::string_view bytes = trie.bytes(token);
  if (bytes.empty()) return false;
  const std::size_t mark = state_->stacks.size();
  const bool fits = state_->look(bytes);
  state_->stacks.forget(mark);
  return fits;
}

Status GrammarMatcher::accept(TokenId token) {
  const TokenTrie& trie = constraint_->trie();
  if (trie.is_end(token) && !state_->ended && state_->position.complete) {
    state_->remember();
    state_->ended = true;
    return {};
  }
  if (!trie.is_end(token) && state_->advance(trie.bytes(token))) return {};
  return fail(ErrorCode::kInvalidArgument, "token {} does not fit the grammar here", token);
}

bool GrammarMatcher::accept_text(std::string_view bytes) { return state_->advance(bytes); }

Status GrammarMatcher::rollback(int tokens) {
  if (tokens < 0 || static_cast<std::size_t>(tokens) > state_->history.size())
    return fail(ErrorCode::kInvalidArgument, "cannot take back {} tokens, {} are remembered", tokens, state_->history.size());
  if (tokens == 0) return {};
  auto& history = state_->history;
  State::Moment& past = history[history.size() - static_cast<std::size_t>(tokens)];
  state_->position.clear();
  state_->position.alive = std::move(past.alive);
  state_->position.complete = past.complete;
  state_->ended = past.ended;
  history.resize(history.size() - static_cast<std::size_t>(tokens));
  return {};
}

std::string GrammarMatcher::forced(std::size_t max_bytes) {
  std::string out;
  if (state_->ended) return out;
  const Automaton& automaton = constraint_->grammar().automaton();
  const std::size_t mark = state_->stacks.size();
  Position at = state_->position;
  while (out.size() < max_bytes && !at.complete && !at.alive.empty()) {
    std::uint32_t only = kNoState;  // class of the one byte that can follow
    bool choice = false;
    for (const Configuration& configuration : at.alive)
      for (std::uint32_t c = 0; c < automaton.classes && !choice; ++c)
        if (automaton.table[std::size_t{configuration.state} * automaton.classes + c] != kNoState) {
          choice = (only != kNoState && only != c) || automaton.class_size[c] != 1;
          only = c;
        }
    if (choice || only == kNoState) break;
    out += static_cast<char>(automaton.class_byte[only]);
    state_->walk.stepper().step(at, automaton.class_byte[only], state_->other);
    std::swap(at, state_->other);
  }
  state_->stacks.forget(mark);
  return out;
}

std::vector<TokenId> GrammarMatcher::forced_tokens(const Tokenizer& tokenizer, std::size_t max_bytes) {
  const std::string text = forced(max_bytes);
  if (text.empty()) return {};
  std::vector<TokenId> ids = tokenizer.encode(text, {.add_special = false});
  std::size_t at = 0, fitting = 0;  // a tokenizer may put a space in front: such tokens do not fit
  while (fitting < ids.size()) {
    const std::string_view bytes = constraint_->trie().bytes(ids[fitting]);
    if (bytes.empty() || text.compare(at, bytes.size(), bytes) != 0) break;
    at += bytes.size();
    ++fitting;
  }
  GrammarMatcher after = *this;
  const bool ends = fitting == ids.size() && after.accept_text(text) && after.finished();
  ids.resize(ends || fitting < ids.size() ? fitting : fitting - 1);
  return ids;
}

bool GrammarMatcher::can_end() const { return state_->ended || state_->position.complete; }
bool GrammarMatcher::finished() const { return state_->ended || (state_->position.complete && state_->position.alive.empty()); }

}  // namespace stoa::models
