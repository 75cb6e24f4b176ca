// Verbs of the feedback loop: rate, dataset.
#include "commands/commands.h"

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {

int rate(const Global& global, const std::string& id, const std::string& verdict, const std::string& comment, const std::string& correction) {
  auto api = connect(global);
  JsonObject body{{"answer_id", id}, {"score", verdict == "up" ? 1 : -1}};
  if (!comment.empty()) body["comment"] = comment;
  if (!correction.empty()) body["correction"] = correction;
  auto made = api.post("/v1/stoa/ratings", body);
  if (!made) return report(made.error(), global.json);
  fmt::print("{}\n", global.json ? dump_json_pretty(*made) : fmt::format("rated {}: {}", id, verdict));
  return kExitOk;
}

int dataset_from_ratings(const Global& global, const std::string& name) {
  auto api = connect(global);
  auto made = api.post("/v1/stoa/datasets/from-ratings", JsonObject{{"name", name}});
  if (!made) return report(made.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*made));
  else
    fmt::print("dataset {} version {}: {} rows\n{}\n", bold(name), text_of(*made, "version"), integer_of(*made, "rows"),
               dim(fmt::format("read it with: stoa dataset rows {}", text_of(*made, "version"))));
  return kExitOk;
}

int dataset_list(const Global& global) {
  auto api = connect(global);
  auto found = api.get("/v1/stoa/datasets");
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"name", "rows", "created", "version"}};
  for (const JsonObject* item : objects_of(*found, "data"))
    rows.push_back({text_of(*item, "name"), fmt::format("{}", integer_of(*item, "rows")), text_of(*item, "created"), text_of(*item, "version")});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int dataset_rows(const Global& global, const std::string& version) {
  auto api = connect(global);
  auto rows = api.get_text("/v1/stoa/datasets/" + version + "/rows");
  if (!rows) return report(rows.error(), global.json);
  fmt::print("{}", *rows);
  return kExitOk;
}

}  // namespace stoa::cli
