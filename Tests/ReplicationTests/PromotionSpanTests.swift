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
      let report = try await replica.promote(planned: true)
      // It is the primary already.
      await #expect(throws: VecDBError.self) { try await replica.promote() }
      let spans = tracer.finishedSpans.filter { $0.operationName == "promotion" }
      #expect(spans.count == 2)
      #expect(spans.last?.status?.code == .error && spans.last?.errors.count == 1)
      #expect(spans.first?.status == nil && spans.first?.errors.isEmpty == true)
      #expect(
        spans.first?.attributes.get("vecdb.promotion.loss") == .string(report.loss))
      #expect(spans.first?.attributes.get("db.system.name") == .string("vecdb"))
      try await replica.stop()
      try await primary.stop()
    }
  }
}
