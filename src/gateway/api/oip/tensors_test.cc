#include <gtest/gtest.h>

#include "gateway/api/oip/tensors.h"

namespace stoa::gateway::oip {
namespace {

JsonObject object(std::string_view text) { return parse_json(text)->as_object(); }

TEST(Tensors, WhatIsWrongIsNamed) {
  struct Case {
    std::string input, param;
  };
  const std::string head = R"({"inputs":[{"name":"text","datatype":"BYTES",)";
  for (const Case& one : {Case{R"({})", "inputs"}, Case{R"({"inputs":[]})", "inputs"}, Case{R"({"inputs":[1]})", "inputs[0]"}, Case{R"({"id":1,"inputs":[]})", "id"},
                          Case{R"({"inputs":[{"name":"text","datatype":"FP32","shape":[1],"data":[1]}]})", "inputs[0].datatype"},
                          Case{head + R"("data":["a"]}]})", "inputs[0].shape"}, Case{head + R"("shape":[0],"data":[]}]})", "inputs[0].shape"},
                          Case{head + R"("shape":[9223372036854775807,3],"data":["a"]}]})", "inputs[0].shape"}, Case{head + R"("shape":[2],"data":["a"]}]})", "inputs[0].data"},
                          Case{head + R"("shape":[1],"data":[[[[[[[[[["a"]]]]]]]]]]}]})", "inputs[0].data"}, Case{head + R"("shape":[1],"data":[{}]}]})", "inputs[0].data"},
                          Case{head + R"("shape":[1],"data":["a"],"parameters":{"binary_data_size":4}}]})", "inputs[0].parameters.binary_data_size"},
                          Case{head + R"("shape":[1],"data":["a"]}],"outputs":[{"name":"x","parameters":{"binary_data":true}}]})", "outputs[0].parameters.binary_data"}}) {
    const auto call = parse_infer(object(one.input));
    ASSERT_FALSE(call) << one.input;
    EXPECT_EQ(call.error().param, one.param) << one.input;
  }
}

TEST(Tensors, NestedAndFlatAreTheSame) {
  for (const char* data : {R"(["a","b"])", R"([["a"],["b"]])"}) {
    const auto call = parse_infer(object(fmt::format(R"({{"id":"i","inputs":[{{"name":"text","datatype":"BYTES","shape":[2,1],"data":{}}}]}})", data)));
    ASSERT_TRUE(call);
    const auto input = text_input(*call, "text");
    ASSERT_TRUE(input);
    EXPECT_EQ((*input)->values, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(text_input(*call, "other"));
    const std::vector<float> values{0.5f, 1.0f};
    EXPECT_EQ(dump_json(infer_json("m", *call, {float_output("embedding", {2, 1}, values)})),
              R"({"model_name":"m","model_version":"1","id":"i","outputs":[{"name":"embedding","shape":[2,1],"datatype":"FP32","data":[5E-1,1E0]}]})");
  }
  const auto wide = parse_infer(object(R"({"inputs":[{"name":"text","datatype":"BYTES","shape":[1,2],"data":["a","b"]}]})"));
  EXPECT_FALSE(text_input(*wide, "text"));
}

TEST(Tensors, SamplingIsBounded) {
  const auto call = parse_generate(object(R"({"text_input":"a","parameters":{"max_tokens":3,"temperature":0,"top_p":0.5,"top_k":4,"seed":5,"stop":["x"],"unknown":1}})"));
  ASSERT_TRUE(call);
  EXPECT_EQ(call->request.prompt, "a");
  EXPECT_EQ(call->request.max_tokens, 3);
  EXPECT_EQ(call->request.sampling.seed, 5u);
  EXPECT_EQ(call->request.stop, std::vector<std::string>{"x"});
  for (const char* wrong : {R"({})", R"({"text_input":""})", R"({"text_input":"a","parameters":1})", R"({"text_input":"a","parameters":{"max_tokens":0}})",
                            R"({"text_input":"a","parameters":{"top_p":2}})", R"({"text_input":"a","parameters":{"stop":[""]}})"})
    EXPECT_FALSE(parse_generate(object(wrong))) << wrong;
}

}  // namespace
}  // namespace stoa::gateway::oip
