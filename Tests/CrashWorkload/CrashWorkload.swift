import Foundation
import VecDB

/// The process that `scripts/kills` kills, and the one that proves what is left; and what
/// `scripts/durability` measures.
///
///     crash-workload single DIRECTORY ROUNDS
///     crash-workload bulk DIRECTORY BATCHES
///     crash-workload write DIRECTORY RECEIPTS SEED WRITERS [SECONDS]
///     crash-workload verify DIRECTORY RECEIPTS SEED WRITERS
///
/// `write` exits with 3 if the database was poisoned. `verify` prints one JSON object and exits with
/// 1 if anything is wrong.
@main struct CrashWorkload {
  static func main() async {
    let arguments = CommandLine.arguments
    if arguments.count == 4, let count = Int(arguments[3]) {
      await measure(RateMeasurement(directory: arguments[2]), arguments[1], count)
    }
    guard arguments.count >= 6, let seed = UInt64(arguments[4]), let writers = Int(arguments[5])
    else {
      print("usage: crash-workload write|verify DIRECTORY RECEIPTS SEED WRITERS [SECONDS]")
      exit(2)
    }
    await run(arguments, seed, writers)
  }

  private static func measure(
    _ measurement: RateMeasurement, _ what: String, _ count: Int
  ) async -> Never {
    do {
      if what == "single" { try await measurement.single(rounds: count) }
      if what == "bulk" { try await measurement.bulk(batches: count) }
      exit(0)
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
  }

  private static func run(_ arguments: [String], _ seed: UInt64, _ writers: Int) async {
    do {
      switch arguments[1] {
      case "write":
        try await Writing(
          directory: arguments[2], receipts: arguments[3], seed: seed, writers: writers,
          seconds: arguments.count > 6 ? Double(arguments[6]) : nil
        ).run()
      case "verify":
        let outcome = try await Verification(
          directory: arguments[2], receipts: arguments[3], seed: seed, writers: writers
        ).run()
        print(String(decoding: try JSONEncoder().encode(outcome), as: UTF8.self))
        exit(outcome.problems.isEmpty ? 0 : 1)
      default: exit(2)
      }
    } catch let error as VecDBError where error.code == .poisoned {
      FileHandle.standardError.write(Data("poisoned: \(error)\n".utf8))
      exit(3)
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
  }
}
