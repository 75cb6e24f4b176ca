#include "models/constrain/stepper.h"

#include <algorithm>

namespace stoa::models::constrain {

void Stepper::visit(std::uint32_t state, StackId stack) {
  const Configuration fresh{state, stack};
  if (std::ranges::find(todo_, fresh) == todo_.end()) todo_.push_back(fresh);
}

void Stepper::pop(StackId stack, std::uint32_t rounds, Position& out) {
  if (stack == kBottom) {
    out.complete = true;
    return;
  }
  if (stack == kUnknown) {
    if (std::ranges::find(out.escapes, 0u) == out.escapes.end()) out.escapes.push_back(0);
    return;
  }
  const Frame frame = stacks_[stack];
  if (!(frame.target & (kCounterBit | kAnyCounterBit))) {
    visit(frame.target, frame.parent);
    return;
  }
  if (frame.target & kAnyCounterBit) {
    if (std::ranges::find(out.escapes, rounds) == out.escapes.end()) out.escapes.push_back(rounds);
    const StackId again = stacks_.push(frame.parent, frame.target, rounds + 1);
    if (again != kNoState) visit(frame.target & ~kAnyCounterBit, again);
    return;
  }
  const Counter& counter = automaton_.counters[frame.target & ~kCounterBit];
  if (rounds >= counter.min) visit(counter.next, frame.parent);
  if (rounds < counter.max) {
    // Without an upper bound only "enough" matters: the count stops there and stacks stay few.
    const std::uint32_t next = counter.max == kNoState ? std::min(rounds + 1, std::max(counter.min, 1u)) : rounds + 1;
    const StackId again = stacks_.push(frame.parent, frame.target, next);
    if (again != kNoState) visit(counter.body, again);
  }
}

void Stepper::arrive(Configuration configuration, Position& out) {
  todo_.clear();
  todo_.push_back(configuration);
  for (std::size_t i = 0; i < todo_.size(); ++i) {
    const auto [state, stack] = todo_[i];
    const std::uint8_t flags = automaton_.flags[state];
    work_ += 1 + todo_.size() + out.alive.size();
    if (flags & Automaton::kBytes) {
      if (out.alive.size() >= Position::kMaxAlive || todo_.size() > 2 * Position::kMaxAlive) return;
      if (out.alive.empty() || std::ranges::find(out.alive, todo_[i]) == out.alive.end()) out.alive.push_back(todo_[i]);
    }
    if (flags & Automaton::kPlain) continue;
    for (const CallEdge& call : automaton_.calls_of(state)) {
      const StackId pushed = call.tail ? stack : stacks_.push(stack, call.frame, call.frame & kCounterBit ? 1 : 0);
      if (pushed != kNoState) visit(call.callee, pushed);
    }
    if (flags & Automaton::kFinal) pop(stack, stacks_[stack].rounds, out);
  }
}

void Stepper::step(const Position& from, std::uint8_t byte, Position& to) {
  to.clear();
  const std::uint64_t enough = work_ + kMaxStepWork;
  for (const Configuration& configuration : from.alive) {
    if (work_ > enough) return;
    const std::uint32_t next = automaton_.next(configuration.state, byte);
    if (next != kNoState) arrive({next, configuration.stack}, to);
  }
}

void Stepper::behind(StackId stack, Position& out) {
  const Frame frame = stacks_[stack];
  const bool counted = frame.target & kCounterBit;
  arrive({counted ? automaton_.counters[frame.target & ~kCounterBit].next : frame.target, frame.parent}, out);
}

}  // namespace stoa::models::constrain
