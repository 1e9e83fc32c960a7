import Hummingbird
import VecDB

/// What the service answers.
struct Routes: Sendable {
  let store: PhotoStore

  struct Photo: Decodable {
    var vector: [Float]
    var title: String?
  }

  struct Written: ResponseEncodable {
    var lsn: UInt64
  }

  struct Question: Decodable {
    var vector: [Float]
    var k: Int?
  }

  struct Answer: ResponseEncodable {
    struct Found: Codable {
      var key: String
      var distance: Float
    }
    var hits: [Found]
  }

  var router: Router<BasicRequestContext> {
    let router = Router()
    router.addMiddleware {
      TracingMiddleware()
      MetricsMiddleware()
      LogRequestsMiddleware(.debug)
    }
    router.get("ready") { _, _ -> HTTPResponse.Status in
      store.isReady ? .ok : .serviceUnavailable
    }
    router.put("photos/:key") { request, context in
      let key = try context.parameters.require("key")
      let photo = try await request.decode(as: Photo.self, context: context)
      return try await answering {
        let record = VectorRecord(
          key: key, vector: photo.vector,
          metadata: photo.title.map { ["title": .string($0)] } ?? [:])
        let result = try await store.photos().upsert(record)
        return Written(lsn: result.receipt.lsn)
      }
    }
    router.post("search") { request, context in
      let question = try await request.decode(as: Question.self, context: context)
      return try await answering {
        let found = try await store.photos().nearest(question.vector, k: question.k ?? 10)
        return Answer(hits: found.hits.map { .init(key: $0.key, distance: Float($0.distance)) })
      }
    }
    return router
  }

  /// Turns errors of the database into answers: those of the caller, and those that pass.
  private func answering<Value: Sendable>(
    _ body: () async throws -> Value
  ) async throws -> Value {
    do { return try await body() } catch let error as VecDBError {
      let status: HTTPResponse.Status =
        switch error.code {
        case .invalidArgument, .limitExceeded: .badRequest
        case .notFound: .notFound
        case .overloaded, .closed, .diskFull, .readOnly: .serviceUnavailable
        default: .internalServerError
        }
      throw HTTPError(status, message: error.description)
    }
  }
}
