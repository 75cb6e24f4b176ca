// The embedding models of a server by their names: the one of collections that name none, and others that are loaded when they are first asked for.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "data/index/embedder.h"

namespace stoa::data {

// A handle: copies share what is loaded. Thread-safe.
class Embedders {
 public:
  // kNotFound: there is no model of that name on this machine.
  using Load = std::function<Result<std::unique_ptr<Embedder>>(const std::string& name)>;
  static constexpr std::size_t kMost = 4;  // that are loaded, beside the standard one

  // `standard` outlives all copies; null: collections that name no model are searched by words only. Without `load` there is no other.
  Embedders(Embedder* standard = nullptr, Load load = {});  // NOLINT(google-explicit-constructor): one embedder is all the embedders there are

  Embedder* standard() const;
  // The model of that name, which stays loaded; the standard one's for an empty name, null where there is none. Who loads one makes others that ask for one which is not the
  // standard wait. Errors: those of `load`; kResourceExhausted: kMost others are loaded.
  Result<Embedder*> find(const std::string& name) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace stoa::data
