#include "commands/commands.h"

#include <chrono>
#include <csignal>

#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "hardening.h"
#include "wiring/node.h"

namespace stoa::cli {
namespace {

// SIGINT, SIGTERM and SIGHUP are blocked in every thread from the start and taken here by sigwait, so that no handler runs anywhere.
sigset_t awaited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

int serve(const Global& global, const ServeOptions& options) {
  auto config = load_config(global);
  if (!config) return report(config.error(), global.json);
  if (!options.address.empty()) config->server.address = options.address;
  if (options.port >= 0) config->server.port = options.port;
  const auto level = parse_log_level(config->log.level);
  if (!level) return report(level.error(), global.json);
  configure_log(*level, config->log.format == "json" ? LogFormat::kJson : LogFormat::kText);

  if (config->debug.core_dumps) allow_core_dumps();

  const sigset_t signals = awaited_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto node = wiring::Node::start(*config);
  if (!node) return report(node.error(), global.json);
  if (is_terminal(STDOUT_FILENO))
    fmt::print("Stoa listens on {}  (console: {}/console). Ctrl-C drains and stops.\n", bold((*node)->url()), (*node)->url());

  // SIGHUP is the request to reload; but where a terminal started the server and is gone, it is what it says.
  const bool from_terminal = is_terminal(STDIN_FILENO);
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP && is_terminal(STDIN_FILENO) == from_terminal) {
    log(LogLevel::kInfo, "reloading certificates", {{"signal", std::string("SIGHUP")}});
    (*node)->reload();
  }
  log(LogLevel::kInfo, "draining", {{"signal", std::string(signal == SIGINT ? "SIGINT" : signal == SIGHUP ? "SIGHUP" : "SIGTERM")}, {"seconds", config->server.drain_seconds}});
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second signal ends the process at once
  (*node)->stop(std::chrono::seconds(config->server.drain_seconds));
  log(LogLevel::kInfo, "stopped");
  return kExitOk;
}

}  // namespace stoa::cli
