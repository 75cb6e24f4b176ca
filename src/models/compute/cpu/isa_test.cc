#include "models/compute/cpu/isa.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

TEST(Isa, ChoosesByNameAndRefusesOthers) {
  EXPECT_EQ(choose_isa("auto").value(), best_isa());
  EXPECT_EQ(choose_isa("").value(), best_isa());
  for (const Isa isa : supported_isas()) EXPECT_EQ(choose_isa(isa_name(isa)).value(), isa);
  const auto refused = choose_isa("sse9");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().hint.find("plain"), std::string::npos);
}

}  // namespace
}  // namespace stoa::models
