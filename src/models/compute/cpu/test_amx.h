// Tile registers for tests on processors without AMX: while an AmxEmulator lives there, the instructions that kernels_amx.cc is made of are
// executed by the handler of the signal that they raise, so that tests run the machine code of the product. Where the processor has AMX,
// or lacks what else the kernels need, it does nothing.
//
// How instructions are written: "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2, chapter 2.3 (VEX prefixes); what
// they do: test_tiles.h. For one thread at a time to make and destroy; any thread executes.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/cpu_features.h"
#include "models/compute/cpu/isa.h"
#include "models/compute/cpu/test_tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <ucontext.h>
#endif

namespace stoa::models::test {

#if defined(__x86_64__) && defined(__linux__)

class AmxEmulator {
 public:
  AmxEmulator() {
    if (!needed()) return;
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, &previous());
    installed_ = true;
  }
  ~AmxEmulator() {
    if (installed_) sigaction(SIGILL, &previous(), nullptr);
  }
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;

  // Whether kernels for AMX can run while an emulator lives.
  static bool works() { return needed() || detect_cpu().amx; }
  // How many instructions were emulated so far.
  static std::int64_t executed() { return count().load(); }

 private:
  static bool needed() {
    const CpuFeatures features = detect_cpu();
    return features.avx512_bf16 && __builtin_cpu_supports("avx512vbmi") && !features.amx;
  }
  static struct sigaction& previous() {
    static struct sigaction action;
    return action;
  }
  static std::atomic<std::int64_t>& count() {
    static std::atomic<std::int64_t> instructions;
    return instructions;
  }
  static TileUnit& unit() {
    thread_local TileUnit tiles;
    return tiles;
  }

  static void handle(int, siginfo_t*, void* context) {
    auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto* at = reinterpret_cast<const std::uint8_t*>(registers[REG_RIP]);
    const int length = execute(at, registers);
    if (length == 0) {  // not ours: happens again, and then as if this had not been there
      sigaction(SIGILL, &previous(), nullptr);
      return;
    }
    registers[REG_RIP] += length;
    count().fetch_add(1, std::memory_order_relaxed);
  }

  struct Memory {
    std::uint8_t* base = nullptr;  // with the displacement
    std::int64_t index = 0;        // scaled
    int length = 0;                // of ModRM, SIB and displacement
  };

  static std::int64_t general_register(const greg_t* registers, int number) {
    static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return registers[kOrder[number]];
  }

  // The memory operand whose ModRM byte is at p; x and b extend the numbers of index and base.
  static Memory memory_operand(const std::uint8_t* p, int x, int b, const greg_t* registers) {
    const int mod = p[0] >> 6, rm = p[0] & 7;
    Memory memory = {.length = 1};
    std::int64_t base = 0;
    bool wide = mod == 2;
    if (rm == 4) {
      const int sib = p[1];
      memory.length = 2;
      if (const int index = (sib >> 3 & 7) + 8 * x; index != 4) memory.index = general_register(registers, index) << (sib >> 6);
      if ((sib & 7) == 5 && mod == 0) {
        wide = true;
      } else {
        base = general_register(registers, (sib & 7) + 8 * b);
      }
    } else if (rm == 5 && mod == 0) {
      base = reinterpret_cast<std::int64_t>(p) + 5;  // the next instruction: no operand of these has an immediate
      wide = true;
    } else {
      base = general_register(registers, rm + 8 * b);
    }
    if (wide) {
      std::int32_t displacement;
      std::memcpy(&displacement, p + memory.length, sizeof displacement);
      base += displacement;
      memory.length += 4;
    } else if (mod == 1) {
      base += static_cast<std::int8_t>(p[memory.length]);
      memory.length += 1;
    }
    memory.base = reinterpret_cast<std::uint8_t*>(base);
    return memory;
  }

  // Executes the instruction at p if it is one of AMX: its length, or 0.
  static int execute(const std::uint8_t* p, const greg_t* registers) {
    constexpr int kHead = 4;  // VEX prefix of three bytes, opcode
    if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || (p[2] & 0x84) != 0) return 0;  // map 0F38, W0, 128 bits
    const int r = ~p[1] >> 7 & 1, x = ~p[1] >> 6 & 1, b = ~p[1] >> 5 & 1;
    const int third = ~p[2] >> 3 & 15, prefix = p[2] & 3, opcode = p[3], modrm = p[4];
    const bool memory_form = modrm >> 6 != 3;
    const int reg = (modrm >> 3 & 7) + 8 * r, rm = (modrm & 7) + 8 * b;
    enum Prefix { kNone, k66, kF3, kF2 };
    if (opcode == 0x49 && prefix == kNone && memory_form && reg == 0) {
      const Memory memory = memory_operand(p + kHead, x, b, registers);
      unit().configure(memory.base + memory.index);
      return kHead + memory.length;
    }
    if (opcode == 0x49 && prefix == kNone && modrm == 0xc0) {
      unit() = {};
      return kHead + 1;
    }
    if (opcode == 0x49 && prefix == kF2 && !memory_form && rm == 0) {
      unit().zero(reg);
      return kHead + 1;
    }
    if (opcode == 0x4b && memory_form && (modrm & 7) == 4 && prefix != kNone) {
      const Memory memory = memory_operand(p + kHead, x, b, registers);
      prefix == kF3 ? unit().store(reg, memory.base, memory.index) : unit().load(reg, memory.base, memory.index);  // the two loads differ in a hint
      return kHead + memory.length;
    }
    if (opcode == 0x5c && prefix == kF3 && !memory_form) {
      unit().multiply(reg, rm, third);
      return kHead + 1;
    }
    return 0;
  }

  bool installed_ = false;
};

#else

class AmxEmulator {
 public:
  AmxEmulator() {}
  static bool works() { return false; }
  static std::int64_t executed() { return 0; }
};

#endif

// What this machine can run, with AMX where an emulator can stand in for it.
inline std::vector<Isa> isas_with_amx() {
  std::vector<Isa> isas = supported_isas();
  if (AmxEmulator::works() && isas.back() != Isa::kAmx) isas.push_back(Isa::kAmx);
  return isas;
}

}  // namespace stoa::models::test
