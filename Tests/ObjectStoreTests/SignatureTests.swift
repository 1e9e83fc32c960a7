import Testing
import VecDBObjectStore

/// The vectors that Amazon publishes for signature version 4.
@Suite struct SignatureTests {
  private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  private static let key = Credentials(
    accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

  private func signature(
    _ method: String, _ path: String, _ query: [(name: String, value: String)],
    _ more: [(name: String, value: String)], payload: String = Self.empty
  ) -> String {
    let headers =
      more + [
        (name: "host", value: "examplebucket.s3.amazonaws.com"),
        (name: "x-amz-content-sha256", value: payload),
        (name: "x-amz-date", value: "20130524T000000Z"),
      ]
    let text = SignatureV4(region: "us-east-1", time: "20130524T000000Z").authorization(
      method: method, path: path, query: query, headers: headers, payloadHash: payload,
      credentials: Self.key)
    return String(text.split(separator: "=").last ?? "")
  }

  @Test func examplesOfS3() {
    #expect(
      signature("GET", "/test.txt", [], [(name: "Range", value: "bytes=0-9")])
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    #expect(
      signature(
        "PUT", URLEncoding.path("/test$file.text"), [],
        [
          (name: "Date", value: "Fri, 24 May 2013 00:00:00 GMT"),
          (name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY"),
        ], payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    #expect(
      signature("GET", "/", [("lifecycle", "")], [])
        == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    #expect(
      signature("GET", "/", [("max-keys", "2"), ("prefix", "J")], [])
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  @Test func examplesOfTheSuite() {
    let key = Credentials(
      accessKeyID: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    let signer = SignatureV4(region: "us-east-1", service: "service", time: "20150830T123600Z")
    let headers = [
      (name: "Host", value: "example.amazonaws.com"),
      (name: "X-Amz-Date", value: "20150830T123600Z"),
    ]
    #expect(
      signer.authorization(
        method: "GET", path: "/", query: [], headers: headers, payloadHash: Self.empty,
        credentials: key)
        == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        + "SignedHeaders=host;x-amz-date,"
        + "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    #expect(
      signer.authorization(
        method: "GET", path: "/", query: [("Param2", "value2"), ("Param1", "value1")],
        headers: headers, payloadHash: Self.empty, credentials: key
      ).hasSuffix("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"))
    #expect(
      signer.authorization(
        method: "POST", path: "/", query: [], headers: headers, payloadHash: Self.empty,
        credentials: key
      ).hasSuffix("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"))
  }

  @Test func hashes() {
    func text(_ bytes: [UInt8]) -> String { SignatureV4.hex(bytes) }
    #expect(text(MD5.hash([])) == "d41d8cd98f00b204e9800998ecf8427e")
    #expect(text(MD5.hash(Array("abc".utf8))) == "900150983cd24fb0d6963f7d28e17f72")
    #expect(
      text(MD5.hash(Array(String(repeating: "1234567890", count: 8).utf8)))
        == "57edf4a22be3c955ac49da2e2107b67a")
    // RFC 4231, cases 1, 2 and 6.
    #expect(
      text(HMAC.sign(Array("Hi There".utf8), key: [UInt8](repeating: 0x0B, count: 20)))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    #expect(
      text(HMAC.sign(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      text(
        HMAC.sign(
          Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
          key: [UInt8](repeating: 0xAA, count: 131)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    #expect(
      ["", "f", "fo", "foo", "foob"].map { Base64.encode(Array($0.utf8)) }
        == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="])
  }

  @Test func times() {
    #expect(StoreTime.iso8601("2026-12-01T07:56:28.000Z") == 1_796_111_788_000)
    #expect(StoreTime.iso8601("2026-12-01T07:56:28Z") == 1_796_111_788_000)
    #expect(StoreTime.iso8601("2026-12-01T07:56:28.25Z") == 1_796_111_788_250)
    #expect(StoreTime.http("Tue, 01 Dec 2026 07:56:28 GMT") == 1_796_111_788_000)
    #expect(StoreTime.compact(1_796_111_788_000) == "20261201T075628Z")
    #expect(StoreTime.compact(951_782_400_000) == "20000229T000000Z")
    for wrong in ["", "2026-13-01T00:00:00Z", "2026-12-01 07:56:28Z", "9999999999999999", "T"] {
      #expect(StoreTime.iso8601(wrong) == nil)
      #expect(StoreTime.http(wrong) == nil)
    }
  }
}
