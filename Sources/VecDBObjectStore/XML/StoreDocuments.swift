import VecDBBlockStore

/// A page of a list, as `ListBucketResult`.
package struct ListDocument {
  package var page: BucketPage
  /// What asks for the next page; nil after the last.
  package var continuationToken: String?

  /// None of ours is nearly as large, and sums of sizes stay numbers.
  private static let largestBytes = 1 << 40

  /// Throws `XMLReader.Failure`.
  package init(_ bytes: [UInt8]) throws {
    let root = try XMLReader.read(bytes)
    func failure(_ message: String) -> XMLReader.Failure { .init(message: message, offset: 0) }
    guard root.name == "ListBucketResult" else { throw failure("it is no list but '\(root.name)'") }
    let isEncoded = root.text(of: "EncodingType") == "url"
    var objects: [BucketPage.Object] = []
    for element in root.children where element.name == "Contents" {
      guard let written = element.text(of: "Key"),
        let size = element.text(of: "Size").flatMap(Int.init),
        size >= 0, let time = element.text(of: "LastModified").flatMap(StoreTime.iso8601)
      else { throw failure("an object has no key, size or time") }
      // A key that is not UTF-8 is not ours.
      guard let key = isEncoded ? URLEncoding.decode(written.replacingPlus) : written else {
        continue
      }
      objects.append(
        BucketPage.Object(
          name: key, sizeBytes: min(size, Self.largestBytes), modifiedMilliseconds: time))
    }
    let isTruncated = root.text(of: "IsTruncated")
    guard isTruncated == "true" || isTruncated == "false" else {
      throw failure("it does not say whether it is the end")
    }
    continuationToken = isTruncated == "true" ? root.text(of: "NextContinuationToken") ?? "" : nil
    let last = objects.last?.name
    if isTruncated == "true", last == nil { throw failure("a page in the middle is empty") }
    page = BucketPage(objects: objects, next: isTruncated == "true" ? last : nil)
  }
}

extension String {
  /// Some stores write blanks of encoded keys so.
  fileprivate var replacingPlus: String {
    String(decoding: utf8.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
  }
}

/// An error, as `Error`; also within `ErrorResponse`.
package struct ErrorDocument: Equatable {
  package var code: String
  package var message: String
  package var region: String?

  /// Nil if it is none.
  package init?(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, let root = try? XMLReader.read(bytes) else { return nil }
    let element = root.name == "ErrorResponse" ? root.child("Error") : root
    guard let element, element.name == "Error", let code = element.text(of: "Code") else {
      return nil
    }
    self.code = code
    message = String((element.text(of: "Message") ?? "").prefix(500))
    region = element.text(of: "Region")
  }
}

/// Credentials for a web identity, as `AssumeRoleWithWebIdentityResponse`.
package struct WebIdentityDocument {
  package var credentials: Credentials

  /// Throws `XMLReader.Failure`.
  package init(_ bytes: [UInt8]) throws {
    let root = try XMLReader.read(bytes)
    let element = root.child("AssumeRoleWithWebIdentityResult")?.child("Credentials")
    guard let element, let id = element.text(of: "AccessKeyId"),
      let secret = element.text(of: "SecretAccessKey")
    else { throw XMLReader.Failure(message: "it holds no credentials", offset: 0) }
    credentials = Credentials(
      accessKeyID: id, secretKey: secret, sessionToken: element.text(of: "SessionToken"),
      expiresMilliseconds: element.text(of: "Expiration").flatMap(StoreTime.iso8601))
  }
}
