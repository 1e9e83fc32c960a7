import Foundation
import Testing

/// The alert rules that the articles show are those that are shipped.
@Suite struct AlertRulesTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  private static func article(_ name: String) throws -> String {
    try text("Sources/VecDB/VecDB.docc/\(name).md")
  }

  @Test func theArticleShowsTheFile() throws {
    let rules = try Self.text("scripts/monitoring/vecdb-alerts.yml")
    let shown = try Self.article("Alerts").components(separatedBy: "## The rules\n\n```yaml\n").last
    #expect(shown == rules + "```\n")
  }

  @Test func everyAlertAndMetricIsExplained() throws {
    let rules = try Self.text("scripts/monitoring/vecdb-alerts.yml")
    let alerts = rules.matches(of: /- alert: (\w+)/).map { String($0.1) }
    #expect(alerts.count > 10)
    let explained = try Self.article("Alerts").matches(of: /(?m)^\| `(\w+)` \|/)
      .map { String($0.1) }
    #expect(alerts == explained)
    let reference = try Self.article("MetricsReference")
    for metric in Set(rules.matches(of: /vecdb_[a-z_]+/).map { String($0.0) }) {
      #expect(reference.contains("`\(metric)`"), "\(metric)")
    }
  }
}
