import ArgumentParser
import VecDB

/// The filter of a verb, as text or from a file.
struct FilterArguments: ParsableArguments {
  @Option(
    name: .customLong("where"), help: "Only records whose metadata match this filter.")
  var text: String?
  @Option(
    help: "As --where, from a file: for filters with thousands of values. '-' is standard input.",
    completion: .file())
  var whereFile: String?

  /// A filter of a file has this many bytes at most; one on the command line has the limit of
  /// `Filter`.
  private static let fileBytesMax = 16 << 20

  var isEmpty: Bool { text == nil && whereFile == nil }

  func validate() throws {
    guard text == nil || whereFile == nil else {
      throw ValidationError("Give --where or --where-file, not both.")
    }
  }

  /// Nil if there is none. A mistake in it is wrong usage.
  func filter() throws -> Filter? {
    guard let whereFile else {
      return try text.map { text in
        try Self.reading { try Filter(parsing: text) }
      }
    }
    let source = try ByteSource(path: whereFile)
    var (bytes, line): ([UInt8], [UInt8]) = ([], [])
    while try source.readLine(into: &line) {
      bytes += line
      bytes.append(UInt8(ascii: "\n"))
      guard bytes.count <= Self.fileBytesMax else {
        throw VecDBError(
          .limitExceeded, "the filter has more than \(Self.fileBytesMax) bytes", at: source.path,
          remedy: "Divide its values among several calls.")
      }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw VecDBError(
        .invalidArgument, "the filter is not UTF-8", at: source.path,
        remedy: "Write it as UTF-8.")
    }
    return try Self.reading { try Filter(parsing: text, limitBytes: Self.fileBytesMax) }
  }

  private static func reading(_ body: () throws -> Filter) throws -> Filter {
    do { return try body() } catch let error as VecDBError {
      throw UsageError(
        message: "cannot read the filter: \(error.message)"
          + (error.location.isEmpty ? "" : " (\(error.location))"),
        remedy: error.remedy.isEmpty
          ? "Write a filter like: year >= 2020 and lang in ('de','en')." : error.remedy)
    }
  }
}
