import FoundationEssentials
import InMemoryTracing
import Metrics
import MetricsTestKit
import Tracing

/// Keeps spans and metrics in memory, and writes them to a file at the end. In a service of yours an
/// exporter takes this place.
struct Report {
  struct Span: Codable {
    var name: String
    var id: String
    var parent: String?
    var hasFailed: Bool
  }

  struct Content: Codable {
    var spans: [Span]
    var counters: [String: Int64]
    var timers: [String: Int]
  }

  let path: String
  private let tracer = InMemoryTracer()
  private let metrics = TestMetrics()

  init(path: String) {
    self.path = path
    InstrumentationSystem.bootstrap(tracer)
    MetricsSystem.bootstrap(metrics)
  }

  func write() throws {
    let spans = tracer.finishedSpans.map {
      Span(
        name: $0.operationName, id: $0.spanID, parent: $0.parentSpanID,
        hasFailed: !$0.errors.isEmpty)
    }
    let content = Content(
      spans: spans,
      counters: Dictionary(
        metrics.counters.map { ($0.label, $0.totalValue) }, uniquingKeysWith: +),
      timers: Dictionary(
        metrics.timers.map { ($0.label, $0.values.count) }, uniquingKeysWith: +))
    try JSONEncoder().encode(content).write(to: URL(filePath: path))
  }
}
