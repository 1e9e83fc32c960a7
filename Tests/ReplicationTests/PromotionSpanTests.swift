import InMemoryTracing
import Testing
import Tracing
import VecDB
import VecDBReplication

/// A promotion has a span, which says what came of it.
@Suite struct PromotionSpanTests {
  private typealias Fixture = NodeFixture

  @Test func promotionsHaveSpans() async throws {
    let tracer = InMemoryTracer()
    try await Fixture.inDirectory { directory in
      try await Fixture.create(directory + "/a")
      let primary = try await Fixture.serve(directory + "/a", Fixture.options("a"))
      let replica = try await ReplicationNode.follow(
        directory + "/b", options: Fixture.options("b", peers: [primary.listeningPort]),
        configuration: withTracer(tracer) { Fixture.configuration })
      try await Fixture.eventually("the copy") { await Fixture.isEqual(primary, replica) }
      // The primary writes on, so nobody can say that nothing is lost.
      await #expect(throws: VecDBError.self) {
        try await replica.promote(timeout: .milliseconds(300))
      }
      let report = try await replica.promote(planned: true)
      let spans = tracer.finishedSpans.filter { $0.operationName == "promotion" }
      #expect(spans.count == 2)
      #expect(spans.first?.status?.code == .error && spans.first?.errors.count == 1)
      #expect(spans.last?.status == nil && spans.last?.errors.isEmpty == true)
      #expect(
        spans.last?.attributes.get("vecdb.promotion.loss") == .string(report.loss))
      #expect(spans.last?.attributes.get("db.system.name") == .string("vecdb"))
      try await replica.stop()
      try await primary.stop()
    }
  }
}
