import Foundation
import Testing

/// The README says what the code does.
@Suite struct ReadmeTests {
  private static func text(_ path: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  @Test func theExampleIsTheCompiledOne() throws {
    let source = try Self.text("Tests/CommandTests/ReadmeExample.swift")
    let body = try #require(
      source.components(separatedBy: "// README: begin\n").last?
        .components(separatedBy: "  // README: end").first)
    let example =
      "import VecDB\n\n"
      + body.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.hasPrefix("  ") ? $0.dropFirst(2) : $0 }.joined(separator: "\n")
    let readme = try Self.text("README.md")
    #expect(readme.contains("```swift\n\(example)```"), "README.md must hold:\n\(example)")
  }

  @Test func theExampleRuns() async throws {
    let folder = try TemporaryFolder()
    let lines = try await readmeExample(
      path: folder.path("db"), repository: folder.path("repository"), copy: folder.path("copy"))
    #expect(lines.count == 5)
    #expect(lines[0].hasPrefix("moby-dick "))
    #expect(lines[1].hasPrefix("ulysses "))
    #expect(lines[2] == "ulysses true")
    #expect(lines[4] == "2 records")
  }

  @Test func everyVerbIsInTheCommandTable() throws {
    let readme = try Self.text("README.md")
    let help = try Command.succeed("--help").output
    let verbs =
      help.components(separatedBy: "SUBCOMMANDS:").last?.split(separator: "\n")
      .filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") && !$0.contains("See ") }
      .compactMap { $0.split(separator: " ").first } ?? []
    #expect(verbs.count >= 15)
    for verb in verbs { #expect(readme.contains("`\(verb)"), "\(verb)") }
  }
}
