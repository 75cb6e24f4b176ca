#include "base/html.h"

#include <gtest/gtest.h>

namespace stoa {
namespace {

TEST(Html, EscapesEveryString) {
  EXPECT_EQ(html_escaped(std::string_view("a < b && \"c\" > 'd' \xC3\xA4")), "a &lt; b &amp;&amp; &quot;c&quot; &gt; &#39;d&#39; \xC3\xA4");
  const Json value = *parse_json(R"({"<k>":["<script>",{"n":1,"t":true,"x":null,"s":"&"}]})");
  EXPECT_EQ(dump_json(html_escaped(value)), R"({"&lt;k&gt;":["&lt;script&gt;",{"n":1,"t":true,"x":null,"s":"&amp;"}]})");
}

}  // namespace
}  // namespace stoa
