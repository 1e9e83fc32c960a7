import Glibc

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argc: UnsafeMutablePointer<CInt>,
  _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let named = getenv("VECDB_FUZZ_TARGET").flatMap {
  FuzzTarget(rawValue: String(cString: $0))
}

/// `VECDB_FUZZ_TARGET=filter fuzz CORPUS -runs=…`: one target under libFuzzer. The first argument is
/// the directory of its corpus, in which the seeds are put first. Without a target, lists them.
@main struct FuzzMain {
  static func main() {
    guard let chosen = named, CommandLine.arguments.count > 1 else {
      for target in FuzzTarget.allCases { print(target.rawValue) }
      return
    }
    do { try chosen.writeSeeds(to: CommandLine.arguments[1]) } catch {
      print("no seeds: \(error)")
      exit(2)
    }
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    exit(
      runDriver(&count, &arguments) { bytes, length in
        named?.run(UnsafeRawBufferPointer(start: bytes, count: length))
        return 0
      })
  }
}
