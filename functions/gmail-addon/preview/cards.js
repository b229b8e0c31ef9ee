const CARDS = {
 "mail": {
  "header": {
   "title": "Tandem",
   "subtitle": "Offer for March"
  },
  "sections": [
   {
    "header": "Who this is",
    "widgets": [
     {
      "decoratedText": {
       "topLabel": "Contact",
       "text": "Piet Peeters",
       "bottomLabel": "piet@x.example"
      }
     },
     {
      "decoratedText": {
       "topLabel": "Not in the CRM",
       "text": "Els",
       "bottomLabel": "els@y.example",
       "button": {
        "text": "Add as contact",
        "onClick": {
         "action": {
          "function": "https://tandem.example/gmail-addon/add",
          "parameters": [
           {
            "key": "whom",
            "value": "els@y.example"
           }
          ]
         }
        }
       }
      }
     }
    ]
   },
   {
    "widgets": [
     {
      "textParagraph": {
       "text": "This mail is not in the CRM."
      }
     },
     {
      "buttonList": {
       "buttons": [
        {
         "text": "Track this mail",
         "onClick": {
          "action": {
           "function": "https://tandem.example/gmail-addon/track",
           "parameters": []
          }
         }
        },
        {
         "text": "Make a task",
         "onClick": {
          "action": {
           "function": "https://tandem.example/gmail-addon/task",
           "parameters": []
          }
         }
        }
       ]
      }
     }
    ]
   }
  ]
 },
 "draft": {
  "header": {
   "title": "Tandem",
   "subtitle": "Track what you send"
  },
  "sections": [
   {
    "widgets": [
     {
      "decoratedText": {
       "topLabel": "In the CRM",
       "text": "Piet Peeters",
       "bottomLabel": "piet@x.example",
       "button": {
        "text": "Track to Piet Peeters",
        "onClick": {
         "action": {
          "function": "https://tandem.example/gmail-addon/compose-track",
          "parameters": [
           {
            "key": "whom",
            "value": "piet@x.example"
           }
          ]
         }
        }
       }
      }
     },
     {
      "decoratedText": {
       "topLabel": "Not in the CRM",
       "text": "Els",
       "bottomLabel": "els@y.example",
       "button": {
        "text": "Add",
        "onClick": {
         "action": {
          "function": "https://tandem.example/gmail-addon/compose-add",
          "parameters": [
           {
            "key": "whom",
            "value": "els@y.example"
           }
          ]
         }
        }
       }
      }
     }
    ]
   }
  ]
 },
 "stranger": {
  "header": {
   "title": "Tandem",
   "subtitle": "Not connected"
  },
  "sections": [
   {
    "widgets": [
     {
      "textParagraph": {
       "text": "This Gmail account tracks no mail with Tandem yet. Connect it and switch on mail tracking."
      }
     },
     {
      "buttonList": {
       "buttons": [
        {
         "text": "Connect",
         "onClick": {
          "openLink": {
           "url": "https://tandem.example"
          }
         }
        }
       ]
      }
     }
    ]
   }
  ]
 }
};
